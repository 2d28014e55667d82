"""docs/providers.md names every provider, and its example is a valid one."""

import re
from pathlib import Path
from typing import get_args

import yaml

from convergence_cluster.bootstrap.dialects import chat_format, provider_kind
from convergence_cluster.spec.schema_api import ApiSection, Provider

PAGE = (Path(__file__).parents[3] / "docs" / "providers.md").read_text(encoding="utf-8")


def test_every_provider_has_its_place() -> None:
    missing = [name for name in get_args(Provider) if not re.search(rf"`(?:provider: )?{name}`", PAGE)]

    assert missing == ["http", "python"]
    assert "## Any HTTP API" in PAGE
    assert "A **Python function** is an API" in PAGE


def test_the_example_of_a_job_is_valid() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)

    api = ApiSection.model_validate({"name": "x", **yaml.safe_load(example)["api"]})

    assert provider_kind(api, api.endpoint or "") == "http"
    assert api.polling is not None
    assert [term.step for term in api.response.cost] == [None, "poll"]


def test_a_host_in_the_table_is_recognised() -> None:
    rows = re.findall(r"^\| `([a-z-]+)`(?:, `[a-z]+`)? \| `([a-z.]+)`", PAGE, flags=re.MULTILINE)
    assert len(rows) >= 7

    for name, host in rows:
        url = f"https://{host}/v1/chat/completions"
        api = ApiSection.model_validate({"name": "x", "endpoint": url})
        assert provider_kind(api, url) == name
        assert chat_format(name, url) is not None
