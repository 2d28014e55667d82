"""Everything at once, in a random order that a seed decides. Invariant I holds whatever happens."""

import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.cluster_faults import PARALLEL, Toll, check, exhaustive, wait_for_calls
from tests.cluster_runs import LEASE_S, Cluster, cluster
from tests.sabotage import deliver_thrice, look_for_messages_after

FAULTS = ("worker killed", "worker frozen", "coordinator killed", "redis crashed", "redis frozen", "redis flushed")


@pytest.fixture
def durable(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose Redis finds after a crash what it had."""
    with cluster(tmp_path, appendonly=True) as started:
        yield started


def thrice_and_soon(seed: int) -> None:
    deliver_thrice(seed)
    look_for_messages_after(1.0)


def test_fifteen_faults_of_every_kind_in_a_random_order(durable: Cluster, toll: Toll) -> None:
    chance = random.Random(5)
    faults = chance.sample(FAULTS * 3, 15)
    coordinator = partial(durable.coordinator, before=partial(thrice_and_soon, 1))
    worker = partial(durable.worker, before=partial(deliver_thrice, 2))
    with durable.supervised(coordinator, worker, worker):
        study = durable.submit(exhaustive(toll.server))
        for n, fault in enumerate(faults, start=1):
            wait_for_calls(durable, study, 38 * n)
            strike(durable, fault, chance)
            toll.strike(affected=0 if fault == "coordinator killed" else PARALLEL)
        books = durable.finish(study)

    check(toll, books)


def strike(running: Cluster, fault: str, chance: random.Random) -> None:
    """Let one fault happen."""
    kind = fault.partition(" ")[0]
    target = chance.choice([each for each in running.processes if each.is_running and each.kind == kind] or [None])
    match fault:
        case "worker killed" | "coordinator killed":
            assert target is not None
            target.kill()
        case "worker frozen":
            assert target is not None
            target.pause()
            time.sleep(1.5 * LEASE_S)
            target.resume()
        case "redis crashed":
            running.broker.restart()
        case "redis frozen":
            running.broker.pause()
            time.sleep(1.5 * LEASE_S)
            running.broker.resume()
        case _:
            with running.client() as client:
                client.flushall()
