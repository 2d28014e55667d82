"""The money of one study: what calls cost, what lost ones may have cost, and what turns out later."""

from collections.abc import Sequence

from convergence_cluster.coordinator.accounts import (
    corrected_entry,
    is_finished,
    settle_entries,
    total_usd,
    unknown_entry,
)
from convergence_cluster.coordinator.protocols import Budget
from convergence_cluster.domain.calls import Call, CallOutcome, Late, Lost
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.journal import CallKey, History, LedgerEntry


class Treasury:
    """Settles the budget, and says what the ledger is to say; writing it down is the caller's.

    Whatever a coordinator was told and had not dropped from Redis when it died, the next is told again: each answer is
    paid for once.
    """

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._paid: set[tuple[CallKey, float]] = set()
        """Answers that the ledger has, by their call and when they were finished."""
        self._corrections: dict[CallKey, Sequence[LedgerEntry]] = {}
        """To be written in one transaction with the outcome, or money would be missing in between."""

    def restore(self, history: History) -> None:
        """Know what earlier coordinators paid for."""
        paid = ((entry.key, entry.answered_at_s) for entry in history.ledger)
        self._paid.update((key, at_s) for key, at_s in paid if at_s is not None)
        self._paid.update((key, outcome.finished_at_s) for key, outcome in history.outcomes.items())

    def settle(self, call: Call, outcome: CallOutcome) -> Sequence[LedgerEntry]:
        """Book what a call cost, in place of what was reserved for it."""
        is_new = self._is_new(call, outcome.n_attempts, outcome.finished_at_s)
        self._budget.settle(
            reserved_usd=call.reserved_usd,
            n_attempts=outcome.n_attempts if is_new else 0,
            usd=total_usd(outcome) if is_new else 0.0,
            n_reserved=max(call.n_draws, outcome.n_attempts + outcome.n_unsent),
            scoring_usd=call.scoring_usd,
        )
        is_booked = is_new and (is_finished(outcome) or outcome.n_attempts)
        entries = settle_entries(outcome, at_s=self._clock.now_s()) if is_booked else []
        return [*self._corrections.pop(call.key, ()), *entries]

    def give_up(self, lost: Lost) -> Sequence[LedgerEntry]:
        """Book what a call may have cost that nobody is making any more."""
        call = lost.call
        is_new = self._is_new(call, lost.n_attempts, lost.answered_at_s)
        self._budget.settle(
            reserved_usd=call.reserved_usd,
            n_attempts=lost.n_attempts if is_new else 0,
            usd=lost.usd if is_new else 0.0,
            n_reserved=max(call.n_draws, lost.n_attempts + lost.n_unsent),
            scoring_usd=call.scoring_usd,
        )
        is_booked = is_new and lost.n_attempts
        return [unknown_entry(lost, at_s=self._clock.now_s())] if is_booked else ()

    def correct(self, late: Late) -> Sequence[LedgerEntry]:
        """Book an answer to a call that was given up, or that has one already; the same answer again is nothing.

        Where it became the call's outcome, what is taken back is booked when that is settled.
        """
        outcome = late.outcome
        if not late.is_accepted and not self._is_new(outcome.call, outcome.n_attempts, outcome.finished_at_s):
            return ()
        at_s = self._clock.now_s()
        entries = [corrected_entry(outcome.call, at_s=at_s)] if late.was_booked else []
        entries += [] if late.is_accepted else settle_entries(outcome, at_s=at_s)
        for entry in entries:
            self._budget.restore(usd=entry.usd or 0.0, calls=entry.n_attempts)
        if late.is_accepted:
            self._corrections[outcome.call.key] = entries
            return ()
        return entries

    def _is_new(self, call: Call, n_attempts: int, answered_at_s: float | None) -> bool:
        """Say whether an answer was not paid for yet, and know from now on that it is."""
        if not n_attempts or not answered_at_s:
            return True
        n_known = len(self._paid)
        self._paid.add((call.key, answered_at_s))
        return len(self._paid) > n_known
