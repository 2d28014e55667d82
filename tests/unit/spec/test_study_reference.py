"""The reference page and the editor schema say what the models say."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from convergence_cluster.spec.reference import json_schema, reference

PAGE = Path(__file__).parents[3] / "docs" / "study-reference.md"


def test_the_page_on_disk_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), "run `python -m convergence_cluster.spec.reference`"


def test_every_key_of_the_page_has_a_meaning() -> None:
    rows = [line for line in reference().splitlines() if line.startswith("| `")]

    assert len(rows) > 150
    assert [row for row in rows if row.rstrip(" |").endswith("|") or row.split("|")[-2].strip() == ""] == []


def test_every_link_of_the_page_has_its_place() -> None:
    page = reference()
    titles = {line.removeprefix("## ").lower().replace(".", "") for line in page.splitlines() if line.startswith("## ")}
    anchors = {part.split(")")[0] for part in page.split("](#")[1:]}

    assert anchors <= titles


@pytest.mark.parametrize(
    "text",
    [
        (
            'api: {name: x, endpoint: "https://e"}\nsearch_space: {parameters: {m: [a], t: 1}}\n'
            "evaluation: {test_cases: c.json, metrics: {latency: 1, q: {schema: {}}}}"
        ),
        (
            'api: {name: x, endpoint: "https://e", auth: {api_key_header: X}}\nsearch_space: {candidates: [{a: 1}]}\n'
            "evaluation: {test_cases: [{q: 1}], metrics: {latency: }, holdout: 0.1}\n"
            "optimization: {execution: {generations: 3}, early_stopping: {patience: 3}}"
        ),
    ],
)
def test_the_schema_takes_short_forms(text: str) -> None:
    document: Any = yaml.safe_load(text)

    jsonschema.Draft202012Validator(json_schema()).validate(document)


def test_the_schema_refuses_unknown_keys() -> None:
    errors = list(jsonschema.Draft202012Validator(json_schema()).iter_errors({"apii": {}}))

    assert any("apii" in error.message for error in errors)
