"""Where outcomes wait for the coordinator."""

import threading
from collections import deque
from collections.abc import Sequence

from convergence_cluster.domain.calls import CallOutcome
from convergence_cluster.domain.errors import ConvergenceError


class Inbox:
    """Filled by one thread, emptied by another."""

    def __init__(self) -> None:
        self._outcomes: deque[CallOutcome] = deque()
        self._arrived = threading.Condition()
        self._failure: str | None = None

    def put(self, outcomes: Sequence[CallOutcome]) -> None:
        """Add outcomes."""
        with self._arrived:
            self._outcomes.extend(outcomes)
            self._arrived.notify()

    def fail(self, reason: str) -> None:
        """Note that no more outcomes will come."""
        with self._arrived:
            self._failure = reason
            self._arrived.notify_all()

    def take(self, timeout_s: float) -> Sequence[CallOutcome]:
        """Return what arrived since the last time, waiting up to `timeout_s` seconds for the first.

        Raises:
            ConvergenceError: nothing is there and no more will come.
        """
        with self._arrived:
            if not self._outcomes and self._failure is None:
                self._arrived.wait(timeout_s)
            outcomes = tuple(self._outcomes)
            self._outcomes.clear()
            failure = self._failure
        if not outcomes and failure is not None:
            raise ConvergenceError(f"the call loop stopped: {failure}")
        return outcomes
