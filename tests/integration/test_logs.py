"""What a worker writes of its work says which study, which arm and which attempt it was."""

import json
from pathlib import Path
from typing import Any

from tests.cluster_runs import PATIENT_S, cluster
from tests.study_runs import predecessor_study, serving_llm


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line.startswith("{")]


def test_every_line_of_a_call_names_its_study_arm_and_attempt(tmp_path: Path) -> None:
    with (
        serving_llm("--landscape", "predecessor", "--latency-ms", "10", "--seed", "3") as server,
        cluster(tmp_path, lease_s=PATIENT_S) as running,
    ):
        running.coordinator()
        running.worker(CONVERGENCE_LOG_LEVEL="debug")
        study = running.submit(predecessor_study(server, parallel_workers=8) | {"budget": {"calls": 40}}, "--no-cache")
        books = running.finish(study)
        running.stop()

    ended = [line for line in lines_of(tmp_path / "worker-1.log") if line["event"] == "call.ended"]
    assert {(line["study"], line["arm"], line["case"], line["repeat"]) for line in ended} == set(books.calls)
    assert {line["attempt"] for line in ended} <= {0, 1}
    assert all(line["task"].startswith(f"{study}:") for line in ended)
    assert {line["kind"] for line in ended} <= {"ok", "truncated", "refused", "infeasible"}
