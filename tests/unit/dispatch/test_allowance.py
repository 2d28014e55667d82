"""What lies ready for retries on a cluster, always within the budget."""

from dataclasses import dataclass

import pytest

from convergence_cluster.dispatch.allowance import Allowance
from convergence_cluster.domain.identity import StudyId
from convergence_cluster.metering.budget import Budget
from tests.fakes import FakeClock

STUDY = StudyId("demo")


@dataclass
class Board:
    """Redis, as far as the allowance sees it."""

    left: int | None = None

    def grant(self, study: str, n_attempts: int, *, usd: float) -> tuple[int, bool]:
        del study, usd
        was_there = self.left is not None
        self.left = max(0, (self.left or 0) + n_attempts)
        return self.left, was_there

    def withdraw(self, study: str) -> None:
        del study
        self.left = None


def allowance(budget: Budget, clock: FakeClock, *, parallelism: int = 16) -> Allowance:
    made = Allowance(study=STUDY, budget=budget, parallelism=parallelism, clock=clock)
    made.note(0.5)
    return made


def tended(allowance: Allowance, board: Board, clock: FakeClock) -> int:
    for _ in range(3):
        clock.time_s += 1.0
        allowance.tend(board)
    return board.left or 0


def test_one_for_each_call_on_the_wire_lies_ready() -> None:
    clock, board = FakeClock(), Board()
    budget = Budget(calls=10_000, usd=10_000.0, time_s=None, clock=clock)

    assert tended(allowance(budget, clock), board, clock) == 16
    assert budget.remaining.calls == 10_000 - 16
    assert budget.remaining.usd == pytest.approx(10_000.0 - 8.0)


def test_a_small_budget_has_some_ready_too() -> None:
    clock, board = FakeClock(), Board()

    assert tended(allowance(Budget(calls=40, usd=None, time_s=None, clock=clock), clock), board, clock) == 4


def test_money_limits_them_as_calls_do() -> None:
    clock, board = FakeClock(), Board()

    assert tended(allowance(Budget(calls=None, usd=20.0, time_s=None, clock=clock), clock), board, clock) == 4


def test_in_the_end_first_attempts_have_all_of_it() -> None:
    clock, board = FakeClock(), Board()
    budget = Budget(calls=40, usd=None, time_s=None, clock=clock)
    ready = allowance(budget, clock)
    n_sent = 0
    while tended(ready, board, clock) or budget.remaining.calls:
        assert budget.reserve(0.5)
        n_sent += 1

    assert n_sent == 40
    assert ready.n_reserved == 0


def test_nothing_stays_reserved_when_it_is_withdrawn() -> None:
    clock, board = FakeClock(), Board()
    budget = Budget(calls=400, usd=None, time_s=None, clock=clock)
    ready = allowance(budget, clock)
    tended(ready, board, clock)

    ready.withdraw(board)

    assert (budget.remaining.calls, ready.n_reserved, board.left) == (400, 0, None)


def test_what_an_earlier_coordinator_left_frees_nothing_of_this_one_s_calls() -> None:
    clock, board = FakeClock(), Board(left=5)
    budget = Budget(calls=40, usd=None, time_s=None, clock=clock)
    assert budget.reserve(0.5, n=12)
    ready = allowance(budget, clock)

    n_ready = tended(ready, board, clock)

    assert n_ready == ready.n_reserved > 0
    assert budget.remaining.calls == 40 - 12 - n_ready


def test_what_was_taken_of_an_earlier_grant_leaves_nothing_ready_that_is_not_reserved() -> None:
    clock, board = FakeClock(), Board()
    budget = Budget(calls=400, usd=None, time_s=None, clock=clock)
    ready = allowance(budget, clock)
    n_before = tended(ready, board, clock)
    assert budget.reserve(0.5)

    ready.spend(1, usd=0.5)
    budget.settle(reserved_usd=0.5, n_attempts=2, usd=1.0)

    assert tended(ready, board, clock) == ready.n_reserved == n_before
    assert budget.remaining.calls == 400 - 2 - n_before
