"""A study's limits on a cluster, seen by the server."""

from pathlib import Path

from tests.cluster_runs import PATIENT_S, cluster
from tests.study_runs import predecessor_study, serving_llm, wait_until


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


def test_a_worker_that_goes_leaves_no_place_taken(tmp_path: Path) -> None:
    with (
        serving_llm("--landscape", "predecessor", "--latency-ms", "300", "--seed", "3") as server,
        cluster(tmp_path, lease_s=PATIENT_S) as running,
    ):
        running.coordinator()
        worker = running.worker()
        study = predecessor_study(server, parallel_workers=16)
        study["api"]["rate"] = {"concurrency": 5}
        study["budget"] = {"calls": 400, "usd": 1000.0}
        submitted = running.submit(study, "--no-cache")
        wait_until(lambda: server.books()["in_flight_max"] == 5, timeout_s=20.0)
        client = running.client()
        (holders,) = client.keys("convergence:limit:*:holders")
        assert client.zcard(holders) == 1

        worker.terminate()
        worker.wait(20.0)

        assert client.zcard(holders) == 0
        assert running.state(submitted) == "running"
