"""A study's limits on a cluster, seen by the server."""

from pathlib import Path

from tests.cluster_runs import PATIENT_S, cluster
from tests.study_runs import predecessor_study, serving_llm


def test_the_limits_of_a_study_are_those_of_all_workers_together(tmp_path: Path) -> None:
    with (
        serving_llm("--landscape", "predecessor", "--latency-ms", "100", "--seed", "3") as server,
        cluster(tmp_path, lease_s=PATIENT_S) as running,
    ):
        running.coordinator()
        for _ in range(2):
            running.worker()
        study = predecessor_study(server, parallel_workers=32)
        study["api"]["rate"] = {"concurrency": 5, "rpm": 6000}
        study["budget"] = {"calls": 150, "usd": 1000.0}

        books = running.finish(running.submit(study, "--no-cache"))

        assert books.state == "finished"
        assert server.books()["in_flight_max"] == 5
