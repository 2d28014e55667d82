"""Workers of two releases at once. Invariant: one that cannot read a task executes nothing, and no call is lost."""

import subprocess
import sys
from pathlib import Path

from tests.cluster_runs import Cluster, cluster
from tests.study_runs import predecessor_study, serving_llm, wait_until

N_CALLS = 16
OTHER_RELEASE = (
    "import sys; import convergence_cluster.dispatch.wire as wire; wire.VERSION += 1\n"
    "from convergence_cluster.cli import main; sys.exit(main(sys.argv[1:]))"
)
"""The program as it will be once it writes tasks in another way."""


def other_worker(running: Cluster, folder: Path) -> "subprocess.Popen[str]":
    with (folder / "other.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", OTHER_RELEASE, "worker", "--concurrency", "2"],
            cwd=folder,
            env=running.folder.environment(),
            stdout=log,
            stderr=log,
            text=True,
        )
    running.processes.append(process)
    return process


def n_refused(running: Cluster) -> int:
    return int(running.client().xlen("convergence:trials:dead"))


def test_a_worker_of_another_release_leaves_every_call_to_the_others(tmp_path: Path) -> None:
    with (
        serving_llm("--landscape", "predecessor", "--latency-ms", "20", "--seed", "3") as server,
        cluster(tmp_path) as running,
    ):
        running.coordinator()
        other = other_worker(running, tmp_path)
        study = running.submit(
            predecessor_study(server, parallel_workers=2) | {"budget": {"calls": N_CALLS}}, "--no-cache"
        )
        wait_until(lambda: n_refused(running) > 0, timeout_s=60)
        assert running.n_calls(study) == 0

        running.worker()
        other.terminate()
        books = running.finish(study, timeout_s=90)

        assert (books.state, len(books.calls), books.n_attempts) == ("finished", N_CALLS, N_CALLS)
        assert set(server.hits().values()) == {1}
        assert "came to a release that knows version" in (tmp_path / "other.log").read_text()
