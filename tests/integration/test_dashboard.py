"""Every query of the dashboard and of the alerts, asked of a real Prometheus that reads a real cluster."""

import json
import re
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster_runs import PATIENT_S, cluster, wait_for_workers
from tests.prometheus import free_port, prometheus, query
from tests.study_runs import predecessor_study, serving_llm, wait_until

FOLDER = Path(__file__).parents[2] / "observability"
ONLY_IN_TROUBLE = {"Breakers open"}
"""Panels that show nothing while all is well."""

_NAME = re.compile(r"convergence_[a-z_]+")


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A cluster at work, and the Prometheus that watches it."""

    address: str
    metrics: frozenset[str]
    """Names of all metrics that its processes know, shown or not."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder, ports = tmp_path_factory.mktemp("watched"), [free_port(), free_port()]
    with (
        serving_llm("--landscape", "predecessor", "--latency-ms", "100", "--seed", "3") as server,
        cluster(folder, lease_s=PATIENT_S) as running,
        prometheus(folder, ports, rules=FOLDER / "alerts.yaml") as address,
    ):
        running.coordinator(CONVERGENCE_METRICS_PORT=str(ports[0]))
        running.worker(CONVERGENCE_METRICS_PORT=str(ports[1]))
        wait_for_workers(running, 1)
        study = predecessor_study(server, parallel_workers=8) | {"budget": {"calls": 2_000}}
        running.submit(study, "--no-cache")
        wait_until(lambda: sum_of(address, "convergence_calls_total") > 30, timeout_s=60)
        seen = [urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode() for port in ports]
        time.sleep(3)  # three scrapes more, so that there are rates
        yield Watched(address=address, metrics=frozenset(re.findall(r"^# TYPE (\w+)", "\n".join(seen), re.MULTILINE)))


def sum_of(address: str, name: str) -> float:
    found = query(address, f"sum({name})")
    return float(found[0]["value"][1]) if found else 0.0


def panels() -> list[dict[str, Any]]:
    document = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def targets() -> list[Any]:
    return [pytest.param(panel, target, id=panel["title"]) for panel in panels() for target in panel["targets"]]


@pytest.mark.parametrize(("panel", "target"), targets())
def test_a_panel_shows_something_of_a_cluster_at_work(
    watched: Watched, panel: dict[str, Any], target: dict[str, Any]
) -> None:
    found = query(watched.address, target["expr"])

    assert found or panel["title"] in ONLY_IN_TROUBLE
    assert [each for each in found if each["value"][1] in {"NaN", "+Inf"}] == []
    for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
        assert all(label in each["metric"] for each in found)


def test_every_metric_that_is_asked_for_is_one_that_the_processes_know(watched: Watched) -> None:
    alerts = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    asked += [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    names = {name.removesuffix("_bucket") for expression in asked for name in _NAME.findall(expression)}

    assert len(names) >= 15
    assert names - watched.metrics - {"convergence_breaker_open"} == set()


def test_no_alert_fires_while_all_is_well(watched: Watched) -> None:
    with urllib.request.urlopen(f"{watched.address}/api/v1/alerts", timeout=10) as answer:
        alerts = json.load(answer)["data"]["alerts"]

    assert [alert for alert in alerts if alert["state"] == "firing"] == []
    assert len(query(watched.address, "up == 1")) == 2


def test_the_scrape_knows_what_keda_scales_on(watched: Watched) -> None:
    (wanted,) = query(watched.address, "max(convergence_desired_slots)")
    (slots,) = query(watched.address, "max(convergence_worker_slots)")

    assert 0 < float(wanted["value"][1]) <= 8
    assert float(slots["value"][1]) == 16
