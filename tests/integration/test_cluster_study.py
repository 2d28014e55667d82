"""A study on a cluster: real Redis, real worker processes, the same history as in process."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.cluster_runs import PATIENT_S, Cluster, cluster
from tests.sabotage import dawdle_after_states
from tests.study_runs import Folder, Server, predecessor_study, serving_llm, wait_until


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "20", "--seed", "3") as started:
        yield started


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path, lease_s=PATIENT_S) as started:
        started.coordinator()
        yield started


def reproducible(server: Server) -> dict[str, Any]:
    return predecessor_study(server, parallel_workers=8, reproducible=True, max_repeats=1)


@pytest.mark.parametrize("n_workers", [1, 4])
def test_one_seed_has_one_history_in_process_and_on_any_number_of_workers(
    server: Server, running: Cluster, tmp_path: Path, n_workers: int
) -> None:
    here = Folder(path=tmp_path / "here")
    here.path.mkdir()
    here.write(reproducible(server))
    assert here.run("optimize", "study.yaml", "-q", "--no-cache").code == 0
    for _ in range(n_workers):
        running.worker()

    books = running.finish(running.submit(reproducible(server)))

    expected = here.books()
    assert books.state == "finished"
    assert books.decisions() == expected.decisions()
    assert books.answers() == expected.answers()


def test_a_study_is_followed_to_its_answer_and_its_files(server: Server, running: Cluster) -> None:
    running.worker()
    running.folder.write(reproducible(server))

    done = running.folder.run("submit", "study.yaml", "--no-cache")

    assert done.code == 0, done.err
    assert "Optimization complete" in done.out
    assert running.folder.best_config()


def test_a_study_that_is_cancelled_is_at_no_time_interrupted(server: Server, tmp_path: Path) -> None:
    with cluster(tmp_path, lease_s=PATIENT_S) as running:
        running.coordinator(before=partial(dawdle_after_states, 0.5))
        running.worker(concurrency=4)
        study = running.submit(predecessor_study(server, parallel_workers=4) | {"budget": {"calls": 2_000}})
        wait_until(lambda: running.n_calls(study) > 20)

        assert running.folder.run("cancel", study).code == 0

        assert running.finish(study).state == "cancelled"


def test_a_cancelled_study_keeps_what_is_finished_and_goes_on_when_resumed(server: Server, running: Cluster) -> None:
    running.worker(concurrency=4)
    endless = predecessor_study(server, parallel_workers=4) | {"budget": {"calls": 2_000}}
    study = running.submit(endless)
    wait_until(lambda: running.n_calls(study) > 20)

    assert running.folder.run("cancel", study).code == 0
    stopped = running.finish(study)
    server.reset()
    done = running.folder.run("resume", study, "-q")

    assert stopped.state == "cancelled"
    assert 20 < len(stopped.calls) < 1_000
    assert done.code == 0, done.err
    assert running.state(study) == "finished"
    repeated = [key for key, n in server.hits().items() if key in stopped.calls and n]
    assert repeated == []
