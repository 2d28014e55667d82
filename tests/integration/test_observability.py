"""The shipped alerts fire when they should and not otherwise, and the dashboard is one that Grafana can draw."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.prometheus import program

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "observability"


def promtool(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program("promtool"), *words], capture_output=True, text=True, timeout=60, check=False, cwd=FOLDER
    )


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    document = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def test_every_alert_fires_when_it_should_and_not_otherwise() -> None:
    done = promtool("test", "rules", "alerts-test.yaml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_expectation_of_an_alert_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text((FOLDER / "alerts.yaml").read_text())
    text = (FOLDER / "alerts-test.yaml").read_text()
    (tmp_path / "wrong.yaml").write_text(text.replace("{eval_time: 4m, alertname", "{eval_time: 7m, alertname"))

    done = promtool("test", "rules", str(tmp_path / "wrong.yaml"))

    assert done.returncode == 1


def test_every_alert_is_tested_and_has_a_page() -> None:
    document = yaml.safe_load((FOLDER / "alerts-test.yaml").read_text(encoding="utf-8"))
    tested = {each["alertname"] for test in document["tests"] for each in test["alert_rule_test"] if each["exp_alerts"]}

    assert tested == {rule["alert"] for rule in rules()}
    for rule in rules():
        page = (ROOT / rule["annotations"]["runbook"]).read_text(encoding="utf-8")
        assert f"`{rule['alert']}`" in page


def test_prometheus_takes_the_shipped_configuration() -> None:
    done = promtool("check", "config", "--syntax-only", str(ROOT / "docker" / "prometheus.yaml"))

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_panel_says_what_it_shows_and_lies_beside_the_others() -> None:
    places = [tuple(panel["gridPos"][key] for key in "xywh") for panel in panels()]
    numbers = [panel["id"] for panel in panels()]

    assert len(set(numbers)) == len(numbers)
    assert len(set(places)) == len(places)
    assert all(x + w <= 24 for x, _, w, _ in places)
    assert all(target["expr"] and panel["title"] for panel in panels() for target in panel["targets"])


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "runbooks").glob("*.md")), ids=lambda page: page.stem)
def test_a_runbook_says_what_it_means_where_to_look_and_what_to_do(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert re.findall(r"\*\*(Alert|What it means|Look|Do)", text) == ["Alert", "What it means", "Look", "Do"]
