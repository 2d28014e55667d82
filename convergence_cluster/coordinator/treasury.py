"""The money of one study: what calls cost, what lost ones may have cost, and what turns out later."""

from collections.abc import Sequence
from dataclasses import replace

from convergence_cluster.coordinator.accounts import (
    UNKNOWN,
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

    Whatever a coordinator was told and had not dropped from Redis when it died, the next is told again, and it gives up
    again what that one gave up: each answer is booked once, and so is the bound of each lost attempt.
    """

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._answers: set[tuple[CallKey, float]] = set()
        """Those that the ledger has, by their call and when they were finished."""
        self._bounds: dict[tuple[CallKey, str], LedgerEntry] = {}
        """What the ledger has for lost attempts that nothing came to light of, by their call and task."""
        self._corrections: dict[CallKey, Sequence[LedgerEntry]] = {}
        """To be written in one transaction with the answer, or money would be missing in between."""

    def restore(self, history: History) -> None:
        """Know what earlier coordinators booked."""
        for entry in history.ledger:
            if entry.answered_at_s is not None:
                self._answers.add((entry.key, entry.answered_at_s))
            if entry.task is not None and entry.kind == UNKNOWN:
                self._bounds[entry.key, entry.task] = entry
            elif entry.task is not None:
                self._bounds.pop((entry.key, entry.task), None)
        self._answers.update((key, outcome.finished_at_s) for key, outcome in history.outcomes.items())

    def settle(self, call: Call, outcome: CallOutcome) -> Sequence[LedgerEntry]:
        """Book what a call cost, in place of what was reserved for it."""
        is_new = self._claim(outcome)
        self._budget.settle(
            reserved_usd=call.reserved_usd,
            n_attempts=outcome.n_attempts if is_new else 0,
            usd=total_usd(outcome) if is_new else 0.0,
            n_reserved=max(call.n_draws, outcome.n_attempts + outcome.n_unsent),
            scoring_usd=call.scoring_usd,
        )
        is_booked = is_new and (is_finished(outcome) or outcome.is_paid)
        entries = settle_entries(outcome, at_s=self._clock.now_s()) if is_booked else []
        return [*self._corrections.pop(call.key, ()), *entries]

    def give_up(self, lost: Lost) -> Sequence[LedgerEntry]:
        """Book what a call may have cost that nobody is making any more, or what it cost until it was given back."""
        call = lost.call
        if lost.returned is not None:
            taken_back = self._take_back(call.key, lost.task)
            return [*taken_back, *self.settle(call, replace(lost.returned, call=call))]
        is_new = lost.task is None or (call.key, lost.task) not in self._bounds
        self._budget.settle(
            reserved_usd=call.reserved_usd,
            n_attempts=lost.n_attempts if is_new else 0,
            usd=lost.usd if is_new else 0.0,
            n_reserved=max(call.n_draws, lost.n_attempts),
            scoring_usd=call.scoring_usd,
        )
        if not (is_new and lost.n_attempts):
            return ()
        entry = unknown_entry(lost, at_s=self._clock.now_s())
        if lost.task is not None:
            self._bounds[call.key, lost.task] = entry
        return [entry]

    def correct(self, late: Late) -> Sequence[LedgerEntry]:
        """Book an answer to a call that was given up, or that has one already; the same answer again is nothing.

        Where it became the call's outcome, what is taken back is booked when that is settled.
        """
        key = late.outcome.call.key
        taken_back = self._take_back(key, late.task)
        if late.is_accepted:
            self._corrections[key] = taken_back
            return ()
        if not self._claim(late.outcome):
            return taken_back
        entries = settle_entries(late.outcome, at_s=self._clock.now_s())
        self._restore(entries)
        return [*taken_back, *entries]

    def _take_back(self, key: CallKey, task: str | None) -> Sequence[LedgerEntry]:
        """Undo what was booked for an attempt that was given up, if anything was."""
        booked = None if task is None else self._bounds.pop((key, task), None)
        entries = () if booked is None else (corrected_entry(booked, at_s=self._clock.now_s()),)
        self._restore(entries)
        return entries

    def _restore(self, entries: Sequence[LedgerEntry]) -> None:
        for entry in entries:
            self._budget.restore(usd=entry.usd or 0.0, calls=entry.n_attempts)

    def _claim(self, outcome: CallOutcome) -> bool:
        """Say whether an answer was not booked yet, and know from now on that it is."""
        if not outcome.is_paid or not outcome.finished_at_s:
            return True
        n_known = len(self._answers)
        self._answers.add((outcome.call.key, outcome.finished_at_s))
        return len(self._answers) > n_known
