"""How fast the calls of one study come back, and how many of them that makes worth sending."""

import math
from dataclasses import dataclass

_SMOOTHING = 0.1
_TARGET_TASK_S = 1.0
"""A task carries about this much work, so that messages are few where calls are quick, and one a call elsewhere."""
_MAX_BATCH = 20
_S_PER_MINUTE = 60.0
_SPARE = 4
_TURN_S = 1.0
"""From a call's answer to the next call at the limiter, at most."""
_FIRST_S = 1.0
"""Taken for the latency until the first answer: a slow API is called less than it allows until then, and only then."""


@dataclass(kw_only=True)
class Pace:
    """For one thread."""

    parallelism: int
    """Calls under way that the study asks for."""
    rpm: float | None = None
    """The study's own limit of requests a minute."""
    concurrency: int | None = None
    """The study's own limit of calls on the wire."""
    mean_s: float | None = None
    """Of the latency of calls, the latest counting most; None: none came back yet."""

    def learn(self, latency_s: float) -> None:
        """Take in how long a call took."""
        known_s = self.mean_s if self.mean_s is not None else latency_s
        self.mean_s = known_s + _SMOOTHING * (latency_s - known_s)

    @property
    def n_busy(self) -> float:
        """Return how many calls on the wire the stated limits can keep busy; infinity where nothing limits."""
        return min(self.concurrency or math.inf, max(1.0, self._n_due(self.mean_s)))

    @property
    def window(self) -> int:
        """Return how many calls may be under way.

        More than the limits can keep busy, and the round trips between them, would only wait in workers, whose slots
        other studies need.
        """
        due = self._n_due((_FIRST_S if self.mean_s is None else self.mean_s) + _TURN_S)
        places = math.inf if self.concurrency is None else self.concurrency + self.concurrency // 4
        return int(min(self.parallelism, due + _SPARE, places + _SPARE))

    @property
    def batch_size(self) -> int:
        """Return how many calls a task carries."""
        if self.mean_s is None:
            return 1
        return max(1, min(_MAX_BATCH, round(_TARGET_TASK_S / max(self.mean_s, 1e-3))))

    def _n_due(self, seconds: float | None) -> float:
        """Return how many calls the limit lets begin in so long."""
        if self.rpm is None or seconds is None:
            return math.inf
        return float(math.ceil(self.rpm / _S_PER_MINUTE * seconds))
