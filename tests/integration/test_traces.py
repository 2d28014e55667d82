"""Traces of a real cluster: the context travels in the headers of Celery's messages, and the answers stay the same."""

import json
from pathlib import Path
from typing import Any

from tests.cluster_runs import PATIENT_S, cluster
from tests.study_runs import predecessor_study, serving_llm


def spans_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_request_of_a_study_on_a_cluster_is_in_one_trace(tmp_path: Path) -> None:
    files = {name: tmp_path / f"{name}.jsonl" for name in ("submit", "coordinator", "worker")}
    with (
        serving_llm("--landscape", "predecessor", "--latency-ms", "20", "--seed", "3") as server,
        cluster(tmp_path, lease_s=PATIENT_S) as running,
    ):
        running.coordinator(CONVERGENCE_TRACES=str(files["coordinator"]))
        running.worker(CONVERGENCE_TRACES=str(files["worker"]))
        running.folder.write(predecessor_study(server, parallel_workers=8) | {"budget": {"calls": 60}})

        done = running.folder.run("submit", "study.yaml", "--no-cache", CONVERGENCE_TRACES=str(files["submit"]))

        assert done.code == 0, done.err
        n_attempts = sum(server.hits().values())
        running.stop()
    found = {name: spans_in(path) for name, path in files.items()}
    (root,) = found["submit"]
    everything = [root, *found["coordinator"], *found["worker"]]
    known = {span["context"]["span_id"] for span in everything}
    requests = [span for span in found["worker"] if span["name"].startswith("chat ")]
    assert {span["context"]["trace_id"] for span in everything} == {root["context"]["trace_id"]}
    assert [span for span in everything if span is not root and span["parent_id"] not in known] == []
    assert {span["name"] for span in found["coordinator"]} == {"send task"}
    assert len(requests) == n_attempts > 30
    assert all(span["attributes"]["gen_ai.provider.name"] == "openai" for span in requests)
