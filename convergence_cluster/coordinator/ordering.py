"""In which order the search learns of finished calls: as they come, or in the order in which it asked for them."""

from collections import deque
from collections.abc import Sequence
from typing import Protocol

from convergence_cluster.domain.calls import CallOutcome
from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.journal import CallKey
from convergence_cluster.domain.search import Block

_AHEAD = 20
"""Calls asked for ahead of the oldest unfinished one, so that a history is the same for 1 worker and for 16."""


class Order(Protocol):
    """Holds finished calls until it is their turn."""

    can_run_ahead: bool
    """Whether the search may go on asking while calls are held back."""

    def window(self, n_workers: int) -> int:
        """Return how many calls may be outstanding before the search is asked for no more."""
        ...

    def ask(self, block: Block) -> None:
        """Note a block that the search asked for."""
        ...

    def finish(self, outcomes: Sequence[CallOutcome]) -> None:
        """Note finished calls of blocks asked for."""
        ...

    def release(self) -> Sequence[CallOutcome]:
        """Return the calls whose turn it is, at most once each; empty: none."""
        ...

    def n_outstanding(self) -> int:
        """Count the calls that keep the search from asking for more."""
        ...

    def is_under_way(self, arm: ArmId) -> bool:
        """Say whether the turn of some call of an arm depends on chance and has not come."""
        ...


def block_keys(block: Block) -> tuple[CallKey, ...]:
    """Return the keys of a block's calls, in its order."""
    return tuple((block.arm, case, block.repeat) for case in block.cases)


class AsTheyCome:
    """The fastest order: nothing waits for anything."""

    can_run_ahead = True

    def __init__(self) -> None:
        self._pending: set[CallKey] = set()
        self._finished: list[CallOutcome] = []

    def window(self, n_workers: int) -> int:
        """Return the calls on the wire and half as many behind them, so that no slot idles while it decides."""
        return n_workers + n_workers // 2

    def ask(self, block: Block) -> None:
        """Note a block that the search asked for."""
        self._pending.update(block_keys(block))

    def finish(self, outcomes: Sequence[CallOutcome]) -> None:
        """Note finished calls."""
        for outcome in outcomes:
            self._pending.discard(outcome.call.key)
        self._finished.extend(outcomes)

    def release(self) -> Sequence[CallOutcome]:
        """Return everything that finished since the last time."""
        released, self._finished = self._finished, []
        return released

    def n_outstanding(self) -> int:
        """Count the calls that have not finished, or were not released because the scales are not fixed yet."""
        return len(self._pending) + len(self._finished)

    def is_under_way(self, arm: ArmId) -> bool:
        """Say whether a call of this arm has not finished."""
        return any(key[0] == arm for key in self._pending)


class AsAsked:
    """The reproducible order: whole blocks, oldest first, whatever finished first.

    The same on any machine with up to 16 workers; more of them need more calls ahead, which is another history.
    """

    can_run_ahead = False

    def __init__(self) -> None:
        self._blocks: deque[Block] = deque()
        self._finished: dict[CallKey, CallOutcome] = {}
        self._n_outstanding = 0

    def window(self, n_workers: int) -> int:
        """Return what keeps 16 workers busy, whatever the number of workers; more only for more of them."""
        return max(_AHEAD, n_workers + n_workers // 4)

    def ask(self, block: Block) -> None:
        """Note a block that the search asked for."""
        self._blocks.append(block)
        self._n_outstanding += len(block.cases)

    def finish(self, outcomes: Sequence[CallOutcome]) -> None:
        """Note finished calls."""
        self._finished.update((outcome.call.key, outcome) for outcome in outcomes)

    def release(self) -> Sequence[CallOutcome]:
        """Return the oldest block's calls once all of them have finished."""
        if not self._blocks:
            return ()
        keys = block_keys(self._blocks[0])
        if not all(key in self._finished for key in keys):
            return ()
        self._blocks.popleft()
        self._n_outstanding -= len(keys)
        return [self._finished.pop(key) for key in keys]

    def n_outstanding(self) -> int:
        """Count the calls whose turn has not come."""
        return self._n_outstanding

    def is_under_way(self, arm: ArmId) -> bool:  # noqa: ARG002 - no turn depends on chance
        """Return False: no turn depends on chance."""
        return False
