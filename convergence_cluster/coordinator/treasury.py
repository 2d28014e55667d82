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
from convergence_cluster.domain.calls import Call, CallOutcome
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.journal import LedgerEntry


class Treasury:
    """Settles the budget, and says what the ledger is to say; writing it down is the caller's."""

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock

    def settle(self, call: Call, outcome: CallOutcome) -> Sequence[LedgerEntry]:
        """Book what a call cost, in place of what was reserved for it."""
        self._budget.settle(
            reserved_usd=call.reserved_usd,
            n_attempts=outcome.n_attempts,
            usd=total_usd(outcome),
            n_reserved=max(call.n_draws, outcome.n_attempts + outcome.n_unsent),
            scoring_usd=call.scoring_usd,
        )
        is_booked = is_finished(outcome) or outcome.n_attempts
        return settle_entries(outcome, at_s=self._clock.now_s()) if is_booked else ()

    def give_up(self, call: Call, *, n_attempts: int, usd: float | None, n_unsent: int = 0) -> Sequence[LedgerEntry]:
        """Book what a call may have cost that nobody is making any more."""
        self._budget.settle(
            reserved_usd=call.reserved_usd,
            n_attempts=n_attempts,
            usd=usd,
            n_reserved=max(call.n_draws, n_attempts + n_unsent),
            scoring_usd=call.scoring_usd,
        )
        at_s = self._clock.now_s()
        return [unknown_entry(call, n_attempts=n_attempts, usd=usd, at_s=at_s)] if n_attempts else ()

    def correct(
        self, outcome: CallOutcome, known: CallOutcome | None, *, was_booked: bool, is_accepted: bool
    ) -> Sequence[LedgerEntry]:
        """Book an answer to a call that was given up, or that is `known` already; the same answer again is nothing.

        `was_booked`: at its bound, when it was given up, which is taken back. `is_accepted`: it became the call's
        outcome, and is settled as such.
        """
        if known is not None and known.finished_at_s == outcome.finished_at_s and not is_accepted:
            return ()
        at_s = self._clock.now_s()
        entries = [corrected_entry(outcome.call, at_s=at_s)] if was_booked else []
        entries += [] if is_accepted else settle_entries(outcome, at_s=at_s)
        for entry in entries:
            self._budget.restore(usd=entry.usd or 0.0, calls=entry.n_attempts)
        return entries
