"""Everything at once, in a random order that a seed decides. Invariant I holds whatever happens."""

import random
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.cluster_faults import PARALLEL, Toll, check, exhaustive, wait_for_calls
from tests.cluster_runs import LEASE_S, Cluster, cluster
from tests.processes import Child
from tests.sabotage import deliver_thrice, look_for_messages_after
from tests.study_runs import wait_until

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
    with supervised(durable):
        study = durable.submit(exhaustive(toll.server))
        for n, fault in enumerate(faults, start=1):
            wait_for_calls(durable, study, 38 * n)
            strike(durable, fault, chance)
            toll.strike(affected=0 if fault == "coordinator killed" else PARALLEL)
        books = durable.finish(study)

    check(toll, books)


@pytest.mark.long
def test_late_answers_are_paid_for_once_whichever_coordinators_hear_of_them(durable: Cluster, toll: Toll) -> None:
    chance = random.Random(6)
    with supervised(durable):
        study = durable.submit(exhaustive(toll.server))
        for n in range(1, 9):
            wait_for_calls(durable, study, 60 * n)
            strike(durable, "worker frozen", chance)
            time.sleep(chance.uniform(0.0, 0.2))
            strike(durable, "coordinator killed", chance)
            toll.strike()
        books = durable.finish(study)

    check(toll, books)


def supervised(running: Cluster) -> AbstractContextManager[None]:
    """Keep a coordinator and two workers running that say everything three times."""
    coordinator = partial(running.coordinator, before=partial(thrice_and_soon, 1))
    worker = partial(running.worker, before=partial(deliver_thrice, 2))
    return running.supervised(coordinator, worker, worker)


def strike(running: Cluster, fault: str, chance: random.Random) -> None:
    """Let one fault happen."""
    match fault:
        case "worker killed" | "coordinator killed":
            one_of(running, fault, chance).kill()
        case "worker frozen":
            target = one_of(running, fault, chance)
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


def one_of(running: Cluster, fault: str, chance: random.Random) -> Child:
    """Return a process of the kind that a fault is about; the last may have died just now, and the next be starting."""

    def living() -> list[Child]:
        return [each for each in running.processes if each.is_running and each.kind == fault.partition(" ")[0]]

    wait_until(lambda: bool(living()))
    return chance.choice(living())
