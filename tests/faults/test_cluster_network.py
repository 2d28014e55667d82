"""Faults of the network and of clocks. Invariant I: every result counted once, no study stuck, money true."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster_faults import Toll, check, exhaustive, wait_for_calls
from tests.cluster_runs import LEASE_S, Cluster, cluster, wait_for_workers
from tests.processes import Child
from tests.redis_sentinels import MASTER, redis_sentinels
from tests.sabotage import look_for_messages_after, shift_clock
from tests.study_runs import wait_until
from tests.tcp_proxy import DOWN, UP, TcpProxy, tcp_proxy

pytestmark = pytest.mark.long
SOON = partial(look_for_messages_after, 1.0)


@pytest.fixture
def proxy(running: Cluster) -> Iterator[TcpProxy]:
    """What stands between a worker and Redis."""
    with tcp_proxy(running.broker.port) as started:
        yield started


def remote_worker(running: Cluster, proxy: TcpProxy, *, concurrency: int = 16) -> Child:
    """Start a worker that reaches Redis through the proxy."""
    url = f"redis://127.0.0.1:{proxy.port}/0"
    return running.worker(concurrency=concurrency, CONVERGENCE_BROKER_URL=url)


@pytest.mark.parametrize("way", [UP, DOWN])
def test_a_worker_cut_off_in_one_direction_pays_for_nothing_after_its_lease(
    running: Cluster, proxy: TcpProxy, toll: Toll, way: str
) -> None:
    """Its tasks hold more calls than it has slots, so that some wait for their turn."""
    running.coordinator(before=SOON)
    with running.supervised(lambda: remote_worker(running, proxy, concurrency=2)):
        study = running.submit(exhaustive(toll.server))
        wait_for_calls(running, study, 100)
        toll.server.faults(slow=1.0, slow_s=0.4)
        proxy.held = {way}
        toll.strike()
        with pytest.raises(TimeoutError):
            wait_until(lambda: False, timeout_s=LEASE_S + 0.5)
        n_paid = toll.server.books()["requests"]
        with pytest.raises(TimeoutError):
            wait_until(lambda: toll.server.books()["requests"] > n_paid, timeout_s=2 * LEASE_S)
        proxy.held = set()
        toll.server.faults(slow=0.0)
        books = running.finish(study)

    check(toll, books)


def test_the_calls_of_a_worker_cut_off_go_to_another(running: Cluster, proxy: TcpProxy, toll: Toll) -> None:
    running.coordinator(before=SOON)
    remote_worker(running, proxy)
    wait_for_workers(running, 1)
    study = running.submit(exhaustive(toll.server))
    wait_for_calls(running, study, 100)
    proxy.held = {UP, DOWN}
    toll.strike()
    running.worker()

    books = running.finish(study)

    check(toll, books)


def test_a_slow_way_to_redis_and_one_too_slow_for_any_lease(running: Cluster, proxy: TcpProxy, toll: Toll) -> None:
    running.coordinator(before=SOON)
    with running.supervised(lambda: remote_worker(running, proxy)):
        study = running.submit(exhaustive(toll.server))
        wait_for_calls(running, study, 50)
        proxy.delay_s = 0.1
        wait_for_calls(running, study, 100)
        proxy.delay_s = 2.0
        toll.strike()
        with pytest.raises(TimeoutError):
            wait_until(lambda: False, timeout_s=3 * LEASE_S)
        proxy.delay_s = 0.0
        books = running.finish(study)

    check(toll, books)


def test_ten_resets_of_every_connection_of_a_worker(running: Cluster, proxy: TcpProxy, toll: Toll) -> None:
    running.coordinator(before=SOON)
    with running.supervised(lambda: remote_worker(running, proxy)):
        study = running.submit(exhaustive(toll.server))
        for n in range(1, 11):
            wait_for_calls(running, study, 55 * n)
            proxy.reset()
            toll.strike()
        books = running.finish(study)

    check(toll, books)


def test_sentinels_replace_a_killed_redis_and_the_work_goes_on(tmp_path: Path, toll: Toll) -> None:
    with redis_sentinels() as sentinels, cluster(tmp_path) as running:
        there = {"CONVERGENCE_BROKER_URL": sentinels.url, "CONVERGENCE_SENTINEL_MASTER": MASTER}
        running.folder = running.folder.with_variables(there)
        running.coordinator(before=SOON)
        with running.supervised(running.worker, running.worker):
            study = running.submit(exhaustive(toll.server))
            wait_for_calls(running, study, 200)
            sentinels.primary.kill()
            toll.strike()
            wait_for_calls(running, study, 300)
            books = running.finish(study)

    check(toll, books)


@pytest.mark.parametrize("offset_s", [3600, -3600])
def test_a_worker_whose_clock_is_an_hour_off_loses_nothing_and_expires_nothing(
    running: Cluster, toll: Toll, offset_s: int
) -> None:
    """Debian's libfaketime makes `time.sleep` of Python 3.11 fail, so the clock is shifted where Python reads it."""
    running.coordinator(before=SOON)
    running.worker(before=partial(shift_clock, offset_s))
    running.worker()
    wait_for_workers(running, 2)
    toll.strike(affected=0)

    books = running.finish(running.submit(exhaustive(toll.server)))

    check(toll, books)
    assert "lease.lost" not in running.logs()
    assert [entry for entry in books.ledger if entry["kind"] != "settled"] == []
    last_s = max(entry["at_s"] for entry in books.ledger)
    assert any(abs(row["finished_at_s"] - last_s) > abs(offset_s) / 2 for row in books.calls.values())
