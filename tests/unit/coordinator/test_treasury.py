"""The ledger has what was paid and the bounds of what is lost, each once, whichever coordinators book it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from convergence_cluster.coordinator.treasury import Treasury
from convergence_cluster.domain.calls import Call, CallOutcome, Late, Lost, OutcomeKind
from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.journal import History, LedgerEntry
from convergence_cluster.metering.budget import Budget
from tests.fakes import STUDY, FakeClock, answer_ok

CALL = Call(study=STUDY, arm=ArmId(3), case=1, repeat=0, configuration={"x": 1}, reserved_usd=0.02)
ANSWER = replace(answer_ok(CALL), finished_at_s=7.0)
LOST = Lost(call=CALL, n_attempts=1, usd=0.02, task="demo:1.1")


class Sitting:
    """The treasury of one coordinator after those before it, with `CALL` on the wire."""

    def __init__(self, ledger: Sequence[LedgerEntry] = (), *outcomes: CallOutcome) -> None:
        self.budget = Budget(clock=FakeClock(), calls=100, usd=1.0)
        self.treasury = Treasury(self.budget, FakeClock())
        history = History(ledger=tuple(ledger), outcomes={outcome.call.key: outcome for outcome in outcomes})
        self.treasury.restore(history)
        self.budget.reserve(CALL.reserved_usd)

    def is_settled(self) -> bool:
        return self.budget.reserved_usd == 0.0


def money(entries: Sequence[LedgerEntry]) -> list[tuple[str, int, float | None]]:
    return [(entry.kind, entry.n_attempts, entry.usd) for entry in entries]


def test_a_second_answer_is_booked_once_though_two_coordinators_hear_of_it() -> None:
    late = Late(outcome=replace(ANSWER, finished_at_s=8.0), task="demo:1.1", is_accepted=False)

    booked = Sitting((), ANSWER).treasury.correct(late)
    again = Sitting(booked, ANSWER).treasury.correct(late)
    other = replace(late, outcome=replace(ANSWER, finished_at_s=9.0))
    third = Sitting(booked, ANSWER).treasury.correct(other)

    assert money(booked) == money(third) == [("settled", 1, ANSWER.cost_usd)]
    assert list(again) == []


def test_the_answer_that_became_the_outcome_is_not_booked_again_where_the_ledger_does_not_name_it() -> None:
    late = Late(outcome=ANSWER, task="demo:1.1", is_accepted=False)

    assert Sitting((), ANSWER).treasury.correct(late) == ()


def test_what_the_provider_stopped_is_booked_once_and_frees_its_reservation_each_time() -> None:
    halted = replace(ANSWER, kind=OutcomeKind.FAILED, halts=True, cost_usd=0.01)
    first = Sitting()
    booked = first.treasury.settle(CALL, halted)
    second = Sitting(booked)

    assert money(booked) == [("settled", 1, 0.01)]
    assert second.treasury.settle(CALL, halted) == []
    assert first.is_settled()
    assert second.is_settled()
    assert (first.budget.calls, second.budget.calls) == (1, 0)


def test_the_bound_of_a_lost_attempt_is_booked_once_and_that_of_the_next_too() -> None:
    booked = Sitting().treasury.give_up(LOST)
    second = Sitting(booked)

    assert money(booked) == [("unknown", 1, 0.02)]
    assert second.treasury.give_up(LOST) == ()
    assert second.is_settled()
    assert money(Sitting(booked).treasury.give_up(replace(LOST, task="demo:2.1"))) == [("unknown", 1, 0.02)]


def test_a_bound_is_taken_back_as_it_was_booked_also_by_another_coordinator_and_once() -> None:
    booked = Sitting().treasury.give_up(replace(LOST, n_attempts=3, usd=0.06))
    late = Late(outcome=replace(ANSWER, n_attempts=3), task="demo:1.1", is_accepted=False)

    found = Sitting(booked).treasury.correct(late)
    again = Sitting([*booked, *found]).treasury.correct(late)

    assert money(found) == [("corrected", -3, -0.06), ("settled", 3, ANSWER.cost_usd)]
    assert list(again) == []


def test_the_answer_of_another_attempt_takes_no_bound_back() -> None:
    booked = Sitting().treasury.give_up(LOST)
    late = Late(outcome=ANSWER, task="demo:1.2", is_accepted=False)

    assert money(Sitting(booked).treasury.correct(late)) == [("settled", 1, ANSWER.cost_usd)]


@pytest.mark.parametrize("kind", ["settled", "cached"])
def test_what_a_worker_gives_back_is_booked_as_what_it_was_and_once(kind: str) -> None:
    returned = replace(
        ANSWER, kind=OutcomeKind.SKIPPED, n_unsent=1, cost_usd=0.01, scoring_usd=0.5, is_cached=kind == "cached"
    )
    call = replace(CALL, n_draws=2)
    lost = Lost(call=call, task="demo:1.1", returned=returned)
    first = Sitting()
    first.budget.reserve(CALL.reserved_usd)

    booked = first.treasury.give_up(lost)
    again = Sitting(booked).treasury.give_up(lost)

    assert money(booked) == [(kind, 1, 0.01), ("scoring", 0, 0.5)]
    assert list(again) == []
    assert first.is_settled()


def test_what_was_given_up_and_then_given_back_is_booked_as_what_it_was() -> None:
    booked = Sitting().treasury.give_up(LOST)
    returned = replace(ANSWER, kind=OutcomeKind.SKIPPED, cost_usd=0.01)

    found = Sitting(booked).treasury.give_up(replace(LOST, returned=returned))

    assert money(found) == [("corrected", -1, -0.02), ("settled", 1, 0.01)]


def test_a_judges_work_is_booked_each_time_that_it_was_paid_for() -> None:
    judged = replace(ANSWER, n_attempts=0, cost_usd=None, scoring_usd=0.5)
    late = Late(outcome=replace(judged, finished_at_s=8.0), task="demo:1.1", is_accepted=False)

    booked = Sitting((), judged).treasury.correct(late)

    assert [entry.usd for entry in booked if entry.kind == "scoring"] == [0.5]
    assert Sitting(booked, judged).treasury.correct(late) == ()
