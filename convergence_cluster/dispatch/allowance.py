"""Attempts beyond a call's first: workers may retry only what the study's budget has set aside beforehand."""

import math
from dataclasses import dataclass
from typing import Protocol

from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.identity import StudyId
from convergence_cluster.metering.budget import Budget

_MAX_ATTEMPTS = 64
"""Else one for each call on the wire, for a fault of the API meets all of them."""
_PER_ATTEMPT = 8
"""One attempt in so many that the budget has left lies ready at most: in the end, first attempts have it all."""
_EVERY_S = 0.25


class Board(Protocol):
    """Where attempts lie ready."""

    def grant(self, study: str, n_attempts: int, *, usd: float) -> tuple[int, bool]:
        """Change how many lie ready, at most `usd` each; return how many do, and whether any did before."""
        ...

    def withdraw(self, study: str) -> None:
        """Let none lie ready."""
        ...


@dataclass(kw_only=True, slots=True)
class Allowance:
    """What lies ready in Redis for the workers of one study to take, all of it reserved in the study's budget.

    Towards the end of the budget ever less lies ready. For one thread.
    """

    study: StudyId
    budget: Budget
    parallelism: int
    clock: Clock
    usd: float = 0.0
    """The bound of each attempt: the highest of any call so far."""
    n_reserved: int = 0
    """Attempts reserved: those that lie ready, and those taken whose call has not come back."""
    _next_usd: float = 0.0
    _tended_s: float = -_EVERY_S

    def note(self, usd: float) -> None:
        """Know of a call's bound."""
        self._next_usd = max(self._next_usd, usd)

    def spend(self, n: int, *, usd: float) -> None:
        """Turn reservations of ours into reservations of a call's own bound, which its settlement will release.

        Those that an earlier coordinator granted were reserved there, and are now.
        """
        n_ours = min(n, max(0, self.n_reserved))
        self.n_reserved -= n_ours
        self.budget.trade(n_from=n_ours, from_usd=self.usd, n_to=n, to_usd=usd)

    def tend(self, board: Board) -> None:
        """Bring what lies ready to what should; now and then, but near the end at once."""
        now_s = self.clock.monotonic_s()
        is_wanted_back = self.n_reserved > 0 and self._target() == 0
        if now_s - self._tended_s < _EVERY_S and not is_wanted_back:
            return
        self._tended_s = now_s
        left, was_there = board.grant(self.study, 0, usd=self.usd)
        if not was_there:
            self._release(self.n_reserved)  # never granted, or Redis lost it
        if left > self.n_reserved:  # an earlier coordinator granted them, and reserved them in its budget, not in ours
            left, _ = board.grant(self.study, self.n_reserved - left, usd=self.usd)
        if self._next_usd > self.usd:
            self._release(left - board.grant(self.study, -left, usd=self.usd)[0])
            self.usd, left = self._next_usd, 0
        wanted = self._target() - left
        if wanted > 0:
            n = 0
            while n < wanted and self.budget.reserve(self.usd):
                n += 1
            self.n_reserved += n
            board.grant(self.study, n, usd=self.usd)
        elif wanted < 0:
            self._release(left - board.grant(self.study, wanted, usd=self.usd)[0])

    def withdraw(self, board: Board) -> None:
        """Leave nothing ready."""
        board.withdraw(self.study)
        self._release(self.n_reserved)

    def _target(self) -> int:
        remaining = self.budget.remaining
        n_left = math.inf if remaining.calls is None else remaining.calls
        if remaining.usd is not None and self.usd > 0.0:
            n_left = min(n_left, remaining.usd / self.usd)
        return int(min(max(2, min(_MAX_ATTEMPTS, self.parallelism)), max(0.0, n_left) // _PER_ATTEMPT))

    def _release(self, n: int) -> None:
        for _ in range(n):
            self.budget.release(self.usd)
        self.n_reserved -= n
