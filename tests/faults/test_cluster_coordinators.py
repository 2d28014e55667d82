"""Faults of coordinators and of the database. Invariant I: every result counted once, no study stuck, money true."""

import os
import resource
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster_faults import Toll, check, exhaustive, wait_for_calls
from tests.cluster_runs import Cluster, cluster
from tests.postgres import PostgresServer, postgres_server
from tests.processes import Child
from tests.sabotage import (
    COORDINATOR_POINTS,
    be_impatient,
    decide_otherwise,
    die_at,
    die_before_cancelling,
    freeze_within_transaction,
    limit_files_to,
)
from tests.study_runs import wait_until

pytestmark = pytest.mark.long
KILLED = -9


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    """A database server for all of these tests."""
    with postgres_server(survives_crashes=True) as started:
        yield started


@pytest.fixture
def served(tmp_path: Path, postgres: PostgresServer) -> Iterator[Cluster]:
    """A cluster whose database is a server's."""
    with cluster(tmp_path, database_url=postgres.new_database()) as started:
        yield started


def at_work(cluster: Cluster, toll: Toll, *, n_calls: int) -> tuple[Child, str]:
    """Start a coordinator, a worker and a study; return the first and the last once so many calls have finished."""
    leader = cluster.coordinator()
    cluster.worker()
    study = cluster.submit(exhaustive(toll.server))
    wait_for_calls(cluster, study, n_calls)
    return leader, study


def test_eleven_killed_coordinators_repeat_no_call(running: Cluster, toll: Toll) -> None:
    running.worker()
    with running.supervised(running.coordinator):
        study = running.submit(exhaustive(toll.server))
        for n in range(1, 12):
            wait_for_calls(running, study, 50 * n)
            running.processes[-1].kill()
            toll.strike(affected=0)
        books = running.finish(study)

    check(toll, books)


def test_a_coordinator_may_die_between_any_two_steps(running: Cluster, toll: Toll) -> None:
    running.worker()
    study = running.submit(exhaustive(toll.server))
    for n, point in enumerate(COORDINATOR_POINTS, start=1):
        dying = running.coordinator(before=partial(die_at, point, 1 + n))
        assert dying.wait(60) == KILLED, running.logs()[-3000:]
        toll.strike(affected=0)
    running.coordinator()

    books = running.finish(study)

    check(toll, books)


def test_another_coordinator_takes_over_from_a_killed_one(served: Cluster, toll: Toll) -> None:
    leader, study = at_work(served, toll, n_calls=1)
    served.coordinator()
    wait_for_calls(served, study, 200)
    leader.kill()
    toll.strike(affected=0)

    books = served.finish(study)

    check(toll, books)


def test_a_coordinator_that_would_decide_otherwise_goes_on_with_what_was_decided(running: Cluster, toll: Toll) -> None:
    first, study = at_work(running, toll, n_calls=200)
    first.kill()
    toll.strike(affected=0)
    running.coordinator(before=decide_otherwise)

    books = running.finish(study)

    check(toll, books)
    assert "study.decided_otherwise" in running.logs()


def test_a_leader_that_froze_writes_nothing_when_it_wakes(served: Cluster, toll: Toll) -> None:
    """It is frozen twice as long as it leads, woken while the other works, and left to go on beside it."""
    leader, study = at_work(served, toll, n_calls=100)
    toll.server.faults(slow=1.0, slow_s=0.2)
    leader.pause()
    toll.strike(affected=0)
    served.coordinator()
    n_before = served.n_calls(study)
    wait_for_calls(served, study, n_before + 50)
    leader.resume()
    wait_until(lambda: "coordinator.replaced" in served.logs())
    toll.server.faults(slow=0.0)

    books = served.finish(study)

    check(toll, books)
    assert leader.is_running


def test_a_leader_that_froze_within_a_transaction_keeps_nobody_from_going_on(served: Cluster, toll: Toll) -> None:
    """The server ends its session, which frees what it has locked; when it wakes it finds that it leads no more."""
    leader = served.coordinator(before=partial(freeze_within_transaction, 40))
    served.worker()
    study = served.submit(exhaustive(toll.server))
    wait_until(lambda: leader.is_frozen, timeout_s=60)
    toll.strike(affected=0)
    n_before = served.n_calls(study)
    served.coordinator(before=be_impatient)
    wait_for_calls(served, study, n_before + 50)
    assert leader.is_frozen
    leader.resume()

    books = served.finish(study)

    check(toll, books)
    assert leader.is_running


def test_a_crash_of_the_database_pauses_the_work(served: Cluster, postgres: PostgresServer, toll: Toll) -> None:
    served.coordinator()
    served.worker()
    study = served.submit(exhaustive(toll.server))
    for n in range(1, 4):
        wait_for_calls(served, study, 150 * n)
        postgres.kill()
        toll.strike(affected=0)
        postgres.start()

    books = served.finish(study)

    check(toll, books)


def test_a_full_disk_pauses_the_work_and_acknowledges_nothing_unwritten(running: Cluster, toll: Toll) -> None:
    coordinator = running.coordinator(before=partial(limit_files_to, 1_000_000))
    running.worker()
    study = running.submit(exhaustive(toll.server))
    wait_until(lambda: "coordinator.paused" in running.logs(), timeout_s=60)
    toll.strike(affected=0)
    assert running.n_calls(study) < 640
    resource.prlimit(coordinator.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    books = running.finish(study)

    check(toll, books)
    assert coordinator.is_running


def test_a_coordinator_told_to_end_leaves_its_studies_to_the_next(running: Cluster, toll: Toll) -> None:
    first, study = at_work(running, toll, n_calls=200)
    os.kill(first.pid, signal.SIGTERM)
    toll.strike(affected=0)
    assert first.wait(30) == 0
    running.coordinator()

    books = running.finish(study)

    check(toll, books)


def test_what_a_killed_coordinator_was_to_cancel_the_next_one_cancels(running: Cluster, toll: Toll) -> None:
    first = running.coordinator(before=die_before_cancelling)
    running.worker()
    study = running.submit(exhaustive(toll.server))
    wait_for_calls(running, study, 50)
    toll.server.faults(slow=1.0, slow_s=0.2)
    assert running.folder.run("cancel", study).code == 0
    assert first.wait(30) == KILLED
    toll.strike(affected=0)
    running.coordinator()

    books = running.finish(study)

    assert books.state == "cancelled"
    assert len(books.calls) < 640
