"""Tells a call that failed from an API that is away."""

from collections.abc import Sequence
from dataclasses import replace

from convergence_cluster.coordinator.accounts import is_finished
from convergence_cluster.domain.calls import CallOutcome

_MIN_CALLS = 20


class Outage:
    """Holds back calls that got no answer until another one did.

    When too many of them come in a row the API is away: then those held, and all that follow, count as never finished,
    and are made on resume.
    """

    def __init__(self, parallelism: int) -> None:
        self._limit = max(_MIN_CALLS, 2 * parallelism)
        self._held: list[CallOutcome] = []
        self._n_in_row = 0

    @property
    def n_held(self) -> int:
        """Count the calls held back."""
        return len(self._held)

    def screen(self, arrived: Sequence[CallOutcome], *, is_last: bool) -> Sequence[CallOutcome]:
        """Return what is final of what arrived and what was held; all of it where nothing else will come."""
        final: list[CallOutcome] = []
        for outcome in arrived:
            if outcome.is_passing and not outcome.halts:
                self._held.append(outcome)
                self._n_in_row += 1
                continue
            if is_finished(outcome):
                final += self._release()
                self._n_in_row = 0 if self._n_in_row < self._limit else self._n_in_row
            final.append(outcome)
        if self._n_in_row >= self._limit:
            final += [replace(outcome, halts=True) for outcome in self._release()]
        return [*final, *self._release()] if is_last else final

    def _release(self) -> list[CallOutcome]:
        released, self._held = self._held, []
        return released
