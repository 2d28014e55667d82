"""Faults of Redis. Invariant I: every result counted once, no study stuck, money true, few calls made again."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster_faults import Toll, check, exhaustive, wait_for_calls
from tests.cluster_runs import LEASE_S, Cluster, cluster, wait_for_workers
from tests.sabotage import look_for_messages_after, redeliver_after
from tests.study_runs import wait_until

pytestmark = pytest.mark.long
SOON = partial(look_for_messages_after, 1.0)


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose Redis finds after a crash what it had."""
    with cluster(tmp_path, appendonly=True) as started:
        yield started


def test_twelve_crashes_of_a_durable_redis_lose_nothing(durable: Cluster, toll: Toll) -> None:
    durable.coordinator(before=SOON)
    with durable.supervised(durable.worker, durable.worker):
        study = durable.submit(exhaustive(toll.server))
        for n in range(1, 13):
            wait_for_calls(durable, study, 45 * n)
            durable.broker.restart()
            toll.strike()
        books = durable.finish(study)

    check(toll, books)


def test_crashes_of_a_redis_that_forgets_all_cost_only_what_was_under_way(running: Cluster, toll: Toll) -> None:
    running.coordinator(before=SOON)
    with running.supervised(running.worker, running.worker):
        study = running.submit(exhaustive(toll.server))
        for n in range(1, 4):
            wait_for_calls(running, study, 150 * n)
            running.broker.restart()
            toll.strike()
        books = running.finish(study)

    check(toll, books)


def test_seven_flushes_lose_no_result_that_was_written_down(running: Cluster, toll: Toll) -> None:
    running.coordinator(before=SOON)
    with running.supervised(running.worker, running.worker):
        study = running.submit(exhaustive(toll.server))
        for n in range(1, 8):
            wait_for_calls(running, study, 80 * n)
            with running.client() as client:
                client.flushall()
            toll.strike()
        books = running.finish(study)

    check(toll, books)


def test_while_redis_is_frozen_nothing_is_paid_for_after_the_lease(running: Cluster, toll: Toll) -> None:
    """The tasks of this worker hold more calls than it has slots, so that some wait for their turn."""
    running.coordinator(before=SOON)
    running.worker(concurrency=2)
    study = running.submit(exhaustive(toll.server))
    wait_for_calls(running, study, 100)
    toll.server.faults(slow=1.0, slow_s=0.4)
    running.broker.pause()
    toll.strike(affected=0)
    with pytest.raises(TimeoutError):
        wait_until(lambda: False, timeout_s=LEASE_S + 0.5)
    n_paid = toll.server.books()["requests"]
    with pytest.raises(TimeoutError):
        wait_until(lambda: toll.server.books()["requests"] > n_paid, timeout_s=2 * LEASE_S)
    running.broker.resume()
    toll.server.faults(slow=0.0)

    books = running.finish(study)

    check(toll, books)


def test_a_redis_without_memory_pauses_the_work_until_it_has_some(running: Cluster, toll: Toll) -> None:
    running.coordinator(before=SOON)
    with running.supervised(running.worker, running.worker), running.client() as client:
        study = running.submit(exhaustive(toll.server))
        wait_for_calls(running, study, 200)
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        toll.strike()
        n_before = -1
        while n_before != (n_before := running.n_calls(study)):
            with pytest.raises(TimeoutError):
                wait_until(lambda: False, timeout_s=1.0)
        assert n_before < 640
        client.config_set("maxmemory", 0)
        books = running.finish(study)

    check(toll, books)
    assert "OOM" in running.logs()


def test_a_running_task_that_the_transport_gives_away_is_executed_once(running: Cluster, toll: Toll) -> None:
    running.coordinator()
    for _ in range(2):
        running.worker(before=partial(redeliver_after, 1))
    wait_for_workers(running, 2)
    toll.server.faults(slow=1.0, slow_s=4.0)
    study = running.submit(exhaustive(toll.server))
    wait_until(lambda: toll.server.books()["in_flight"] > 0)
    wait_until(lambda: running.logs().count("task.left") > 0)
    toll.strike(affected=0)
    toll.server.faults(slow=0.0)

    books = running.finish(study)

    check(toll, books)
    assert [entry for entry in books.ledger if entry["kind"] != "settled"] == []
