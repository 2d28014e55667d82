"""Workers of two releases at once. Invariant: one that cannot read a task executes nothing, and no call is lost."""

from pathlib import Path

from tests.cluster_runs import Cluster, cluster
from tests.sabotage import be_of_another_release
from tests.study_runs import predecessor_study, serving_llm, wait_until

N_CALLS = 16


def n_refused(running: Cluster) -> int:
    return int(running.client().xlen("convergence:trials:dead"))


def test_a_worker_of_another_release_leaves_every_call_to_the_others(tmp_path: Path) -> None:
    with (
        serving_llm("--landscape", "predecessor", "--latency-ms", "20", "--seed", "3") as server,
        cluster(tmp_path) as running,
    ):
        running.coordinator()
        other = running.worker(concurrency=2, before=be_of_another_release)
        study = running.submit(predecessor_study(server, parallel_workers=2) | {"budget": {"calls": N_CALLS}})
        wait_until(lambda: n_refused(running) > 0, timeout_s=60)
        assert running.n_calls(study) == 0

        running.worker()
        other.terminate()
        books = running.finish(study, timeout_s=90)

        assert (books.state, len(books.calls), books.n_attempts) == ("finished", N_CALLS, N_CALLS)
        assert set(server.hits().values()) == {1}
        assert "came to a release that knows version" in running.logs()
