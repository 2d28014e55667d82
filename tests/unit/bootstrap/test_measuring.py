"""What metrics are fed with, and how they are answered."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import generate_latest

from convergence_cluster.bootstrap.measuring import ClusterMeasures, desired_slots
from convergence_cluster.bootstrap.seat import Seat
from convergence_cluster.bootstrap.worker_measuring import WorkerMeasures
from convergence_cluster.bootstrap.worker_runtime import RunCall
from convergence_cluster.coordinator.accounts import Accounts
from convergence_cluster.dispatch.connections import BrokerAway
from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.identity import ArmId, StudyId
from convergence_cluster.domain.search import Block
from convergence_cluster.metrics import COORDINATOR, Values, new_registry
from tests.fakes import FakeClock


@dataclass
class FakeDispatcher:
    n_results: int = 0
    n_lost_leases: int = 0
    n_resent: int = 0
    n_workers: int = 2
    n_slots: int = 128
    queues: Mapping[str, Any] = field(default_factory=dict)
    is_away: bool = False

    @property
    def publisher(self) -> "FakeDispatcher":
        return self

    def depths(self) -> dict[str, int]:
        if self.is_away:
            raise BrokerAway
        return {"interactive": 0, "normal": 3, "batch": 0, "backfill": 1, "unacked": 2}


class FakeCoordinator:
    def __init__(self, clock: FakeClock) -> None:
        self.accounts = Accounts()
        self.on_booked: Any = None
        self.optimizer: Any = SimpleNamespace(ask=self._ask)
        self._clock = clock

    def _ask(self) -> Block:
        self._clock.time_s += 0.25
        return Block(arm=ArmId(1), configuration={}, cases=(0,), operator="o")


def term(dispatcher: FakeDispatcher) -> Any:
    return SimpleNamespace(dispatcher=dispatcher, seats={}, n_alive={"s": 7}, count_studies=lambda: {"running": 1})


def seat(account: str, n_wanted: int, max_slots: float = float("inf")) -> Seat:
    return cast("Seat", SimpleNamespace(account=account, n_wanted=n_wanted, max_slots=max_slots))


def outcome(kind: OutcomeKind = OutcomeKind.OK, *, waited_s: float = 0.0) -> CallOutcome:
    call = Call(study=StudyId("s"), arm=ArmId(1), case=0, repeat=0, configuration={}, reserved_usd=0.0)
    return CallOutcome(call=call, kind=kind, waited_s=waited_s)


def turned(measures: ClusterMeasures, clock: FakeClock, at_work: Any) -> Values:
    clock.time_s += 10.0
    measures.turn(at_work)
    return measures.values


@pytest.mark.parametrize(
    ("seats", "expected"),
    [
        ([], 0),
        ([seat("a", 16)], 16),
        ([seat("a", 16, 5), seat("b", 3)], 8),
        ([seat("a", 16, 20), seat("a", 16, 20)], 20),
    ],
)
def test_desired_slots_are_what_studies_want_within_what_each_account_admits(
    seats: Sequence[Seat], expected: int
) -> None:
    assert desired_slots(seats) == expected


def test_a_study_is_counted_from_where_this_sitting_begins() -> None:
    clock = FakeClock()
    decided: list[float] = []
    measures = ClusterMeasures(clock=clock, on_decided=decided.append)
    coordinator = FakeCoordinator(clock)
    coordinator.accounts.spent_usd = 5.0

    with measures.watching(cast("Any", coordinator)):
        coordinator.on_booked([outcome(), outcome(OutcomeKind.FAILED)])
        coordinator.accounts.spent_usd = 5.75
        coordinator.optimizer.ask()
    values = turned(measures, clock, term(FakeDispatcher()))

    assert values["convergence_spend_usd_total"] == 0.75
    calls = cast("Mapping[tuple[str, ...], float]", values["convergence_calls_total"])
    assert (calls["ok",], calls["failed",], calls["refused",]) == (1.0, 1.0, 0.0)
    assert decided == [0.25]


def test_the_spend_never_falls_when_a_bound_proves_too_high() -> None:
    clock = FakeClock()
    measures = ClusterMeasures(clock=clock)
    coordinator = FakeCoordinator(clock)
    shown = []

    with measures.watching(cast("Any", coordinator)):
        for usd in (1.0, 0.4, 0.9, 1.3):
            coordinator.accounts.spent_usd = usd
            shown.append(turned(measures, clock, term(FakeDispatcher()))["convergence_spend_usd_total"])

    assert shown == pytest.approx([1.0, 1.0, 1.0, 1.3])


def test_counters_go_on_from_one_leadership_to_the_next() -> None:
    clock = FakeClock()
    measures = ClusterMeasures(clock=clock)

    turned(measures, clock, term(FakeDispatcher(n_results=10, n_resent=1)))
    standing_by = turned(measures, clock, None)
    leading_again = turned(measures, clock, term(FakeDispatcher(n_results=3)))

    assert standing_by["convergence_leader"] == 0.0
    assert standing_by["convergence_results_total"] == 10.0
    assert "convergence_workers" not in standing_by
    assert leading_again["convergence_leader"] == 1.0
    assert leading_again["convergence_results_total"] == 13.0
    assert leading_again["convergence_tasks_resent_total"] == 1.0


def test_a_depth_that_cannot_be_known_is_not_shown() -> None:
    clock = FakeClock()
    measures = ClusterMeasures(clock=clock)
    registry = new_registry(COORDINATOR, lambda: measures.values)

    turned(measures, clock, term(FakeDispatcher()))
    known = generate_latest(registry).decode()
    turned(measures, clock, term(FakeDispatcher(is_away=True)))
    unknown = generate_latest(registry).decode()

    assert 'convergence_queue_depth{priority="backfill"} 1.0' in known
    assert "convergence_tasks_unacked 2.0" in known
    assert 'convergence_arms_alive{study="s"} 7.0' in known
    assert "convergence_queue_depth{" not in unknown
    assert "convergence_workers 2.0" in unknown


async def _fails(_call: Call) -> CallOutcome:
    raise ValueError("broken")


async def _answers(_call: Call) -> CallOutcome:
    return outcome(waited_s=1.5)


async def _run(run: RunCall, call: Call) -> CallOutcome:
    return await run(call)


def test_a_worker_counts_its_calls_however_they_end() -> None:
    measures = WorkerMeasures()
    call = outcome().call

    asyncio.run(_run(measures.watching(_answers), call))
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(_run(measures.watching(_fails), call))

    values = measures.values()
    calls = cast("Mapping[tuple[str, ...], float]", values["convergence_worker_calls_total"])
    assert (calls["ok",], calls["failed",]) == (1.0, 1.0)
    assert values["convergence_worker_calls_in_flight"] == 0.0
    assert values["convergence_worker_limiter_wait_seconds_total"] == 1.5
