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


def test_a_study_that_waits_for_its_limit_leaves_the_slots_to_others(tmp_path: Path) -> None:
    with (
        serving_llm("--landscape", "predecessor", "--latency-ms", "100", "--seed", "3") as limited,
        serving_llm("--landscape", "predecessor", "--latency-ms", "100", "--seed", "3") as free,
        cluster(tmp_path, lease_s=PATIENT_S) as running,
    ):
        running.coordinator()
        running.worker(concurrency=16)
        slow = predecessor_study(limited, parallel_workers=64)
        slow["api"] |= {"name": "slow", "rate": {"rpm": 60}}
        slow["budget"] = {"calls": 400, "usd": 1000.0}
        waiting = running.submit(slow, "--no-cache")
        wait_until(lambda: limited.books()["requests"] >= 2, timeout_s=20.0)
        quick = predecessor_study(free, parallel_workers=8)
        quick["api"]["name"] = "quick"
        quick["budget"] = {"calls": 200, "usd": 1000.0}

        books = running.finish(running.submit(quick, "--no-cache"), timeout_s=30.0)

        assert books.state == "finished"
        assert running.state(waiting) == "running"
        assert running.n_calls(waiting) < 60
