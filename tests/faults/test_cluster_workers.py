"""Faults of workers. Invariant I: every result counted once, no study stuck, money true, few calls made again."""

import time
from functools import partial

import pytest

from tests.cluster_faults import PARALLEL, Toll, check, exhaustive, wait_for_calls
from tests.cluster_runs import Cluster, wait_for_workers
from tests.sabotage import WORKER_POINTS, die_at, listen_for, look_for_messages_after
from tests.study_runs import wait_until

pytestmark = pytest.mark.long
SOON = partial(look_for_messages_after, 1.0)
KILLED = -9


def test_nine_killed_workers_lose_no_call_and_repeat_only_what_was_on_the_wire(running: Cluster, toll: Toll) -> None:
    running.coordinator(before=SOON)
    with running.supervised(running.worker, running.worker):
        study = running.submit(exhaustive(toll.server))
        for n in range(1, 10):
            wait_for_calls(running, study, 60 * n)
            running.processes[-1 - n % 2].kill()
            toll.strike()
        books = running.finish(study)

    check(toll, books)


def test_a_message_that_dies_in_the_hands_of_a_frozen_worker_is_sent_anew(running: Cluster, toll: Toll) -> None:
    """The transport takes a message from the queue before it notes who has it; a worker that dies between loses it."""
    running.coordinator(before=SOON)
    frozen = running.worker(before=partial(listen_for, 60))
    wait_for_workers(running, 1)
    frozen.pause()
    study = running.submit(exhaustive(toll.server))
    with running.client() as client:
        wait_until(lambda: client.scard("convergence:trials:tasks") == running.n_queued() + 1)
        assert client.hlen("trials.unacked") == 0
    frozen.kill()
    toll.strike(affected=0)
    running.worker()

    books = running.finish(study)

    check(toll, books)
    assert "task.resent" in running.logs()
    assert [entry for entry in books.ledger if entry["kind"] != "settled"] == []


@pytest.mark.parametrize("point", WORKER_POINTS)
def test_a_worker_that_dies_at_any_step_of_a_task_leaves_no_call_behind(
    running: Cluster, toll: Toll, point: str
) -> None:
    running.coordinator(before=SOON)
    dying = running.worker(before=partial(die_at, point, 10))
    study = running.submit(exhaustive(toll.server))
    assert dying.wait(60) == KILLED
    toll.strike()
    running.worker()

    books = running.finish(study)

    check(toll, books)


def test_answers_of_a_worker_that_froze_beyond_its_lease_go_to_the_ledger(running: Cluster, toll: Toll) -> None:
    running.coordinator()
    zombie, _ = running.worker(), running.worker()
    wait_for_workers(running, 2)
    study = running.submit(exhaustive(toll.server))
    for n in range(1, 4):
        wait_for_calls(running, study, 100 * n)
        n_lost = running.logs().count("lease.lost")
        toll.server.faults(slow=1.0, slow_s=0.5)
        wait_until(lambda: toll.server.books()["in_flight"] == PARALLEL)
        zombie.pause()
        toll.strike()
        toll.server.faults(slow=0.0)
        wait_until(lambda: running.logs().count("lease.lost") > n_lost)  # noqa: B023 - used at once
        zombie.resume()

    books = running.finish(study)

    check(toll, books)


def test_a_worker_told_to_end_finishes_what_it_has_and_nothing_is_repeated(running: Cluster, toll: Toll) -> None:
    running.coordinator()
    first = running.worker()
    study = running.submit(exhaustive(toll.server))
    wait_for_calls(running, study, 100)
    first.terminate()
    toll.strike(affected=0)
    running.worker()

    assert first.wait(30) == 0
    books = running.finish(study)

    check(toll, books)
    assert [entry for entry in books.ledger if entry["kind"] != "settled"] == []


def test_a_worker_killed_after_its_grace_is_like_any_other_killed(running: Cluster, toll: Toll) -> None:
    running.coordinator()
    first = running.worker()
    study = running.submit(exhaustive(toll.server))
    wait_for_calls(running, study, 100)
    toll.server.faults(slow=1.0, slow_s=30.0)
    time.sleep(1.0)  # what was on the wire before has its answer
    wait_until(lambda: toll.server.books()["in_flight"] >= PARALLEL / 2)
    first.terminate()
    with pytest.raises(TimeoutError):
        first.wait(1.0)
    first.kill()
    toll.strike()
    toll.server.faults(slow=0.0)
    running.worker()

    books = running.finish(study)

    check(toll, books)


def test_a_cluster_without_workers_waits_and_counts_no_attempt(running: Cluster, toll: Toll) -> None:
    running.coordinator(before=SOON)
    study = running.submit(exhaustive(toll.server))
    wait_until(running.n_queued)
    toll.strike(affected=0)
    n_waiting = running.n_queued()
    with pytest.raises(TimeoutError):
        wait_until(lambda: running.n_queued() != n_waiting, timeout_s=8.0)
    running.worker()

    books = running.finish(study)

    check(toll, books)
    assert "task.resent" not in running.logs()
    assert [entry for entry in books.ledger if entry["kind"] != "settled"] == []
