"""Which calls of each arm were made, are on their way, and come next: the shared case order, once per repeat."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.calls import OutcomeKind

Counts = NDArray[np.int64]
Key = tuple[int, int, int]
"""(arm, case, repeat)."""


class Schedule:
    """The calls of all arms. An arm's calls follow the shared order of cases, then again for the next repeat."""

    def __init__(self, order: Sequence[int], max_repeats: int) -> None:
        self._order = tuple(int(case) for case in order)
        self._length = len(self._order) * max(max_repeats, 1)
        self._next = np.zeros(64, dtype=np.int64)
        self._again: list[list[tuple[int, int]]] = []
        self._has_again = np.zeros(64, dtype=bool)
        self._ahead: dict[int, int] = {}
        self._pending: set[Key] = set()
        self._told: set[Key] = set()
        self._counts = np.zeros((3, 64), dtype=np.int64)

    @property
    def in_flight(self) -> Counts:
        """Calls asked for and not told yet, by arm."""
        return self._counts[0, : len(self._again)]

    @property
    def n_told(self) -> Counts:
        """Finished calls by arm, with or without a score."""
        return self._counts[1, : len(self._again)]

    @property
    def n_failed(self) -> Counts:
        """Finished calls without a score by arm."""
        return self._counts[2, : len(self._again)]

    def open(self) -> None:
        """Make room for one more arm."""
        if len(self._again) == len(self._next):
            self._next, self._has_again = _doubled(self._next), _doubled(self._has_again)
            self._counts = _doubled(self._counts)
        self._again.append([])

    def left(self) -> NDArray[np.bool_]:
        """Say of each arm whether any call of it is left to ask for."""
        n = len(self._again)
        return (self._next[:n] < self._length) | self._has_again[:n]

    def has_more(self, arm: int) -> bool:
        """Say whether any call of one arm is left to ask for."""
        return bool(self._next[arm] < self._length or self._has_again[arm])

    def take(self, arm: int, size: int, place: int = 0) -> tuple[tuple[int, ...], int]:
        """Return an arm's next cases, at least one and at most `size`, and their repeat. In flight from now on.

        With a `place` an arm's first case is the one at that place of the order; the others follow in order.
        """
        if place > 0 and not self._again[arm]:
            assert self._next[arm] == 0
            self._ahead[arm] = place
            repeat, cases = 0, [self._order[place]]
        else:
            repeat, cases = self._coming(arm, size)
            self._pass_by(arm, repeat, cases)
        self._send(arm, repeat, cases)
        return tuple(cases), repeat

    def adopt(self, arm: int, cases: Sequence[int], repeat: int) -> None:
        """Count cases of an arm as in flight that were chosen elsewhere; those passed over come next."""
        is_new = self._next[arm] == 0 and arm not in self._ahead and not self._again[arm]
        if is_new and len(cases) == 1 and repeat == 0:
            self.take(arm, 1, self._order.index(cases[0]))
        elif self._coming(arm, len(cases)) == (repeat, list(cases)):
            self.take(arm, len(cases))
        else:
            self._unroll(arm, repeat)
            self._pass_by(arm, repeat, cases)
            self._send(arm, repeat, cases)

    def _coming(self, arm: int, size: int) -> tuple[int, list[int]]:
        """Return the repeat and the cases that come next, without the one that was taken ahead."""
        if self._again[arm]:
            repeat = self._again[arm][0][0]
            return repeat, [case for other, case in self._again[arm] if other == repeat][:size]
        position = int(self._next[arm])
        ahead = self._ahead.get(arm, 0)
        repeat, start = divmod(position, len(self._order))
        last = min(start + size, ahead) if position < ahead else start + size
        return repeat, list(self._order[start:last])

    def _pass_by(self, arm: int, repeat: int, cases: Sequence[int]) -> None:
        """Take cases that come next out of what is left."""
        if self._again[arm]:
            rest = [pair for pair in self._again[arm] if pair[0] != repeat or pair[1] not in cases]
            self._again[arm], self._has_again[arm] = rest, bool(rest)
        else:
            ahead = self._ahead.get(arm, 0)
            self._next[arm] += len(cases)
            self._next[arm] += ahead > 0 and self._next[arm] == ahead

    def _unroll(self, arm: int, repeat: int) -> None:
        """Write down one by one what is left of an arm's passes up to this one."""
        length, ahead = len(self._order), self._ahead.get(arm, -1)
        places = range(int(self._next[arm]), (repeat + 1) * length)
        self._again[arm] += [(place // length, self._order[place % length]) for place in places if place != ahead]
        self._next[arm] = max(int(self._next[arm]), (repeat + 1) * length)

    def _send(self, arm: int, repeat: int, cases: Sequence[int]) -> None:
        self._pending.update((arm, case, repeat) for case in cases)
        self.in_flight[arm] += len(cases)

    def settle(self, key: Key, kind: OutcomeKind) -> bool:
        """Note that a call ended, and say whether that is news: neither told before nor skipped."""
        arm, case, repeat = key
        if key in self._told:
            if key in self._pending:
                self._pending.discard(key)
                self.in_flight[arm] -= 1
            return False
        if key in self._pending:
            self._pending.discard(key)
            self.in_flight[arm] -= 1
            if kind is OutcomeKind.SKIPPED:
                self._again[arm].append((repeat, case))
                self._has_again[arm] = True
                return False
        elif kind is OutcomeKind.SKIPPED:
            return False
        if self._again[arm]:
            self._again[arm] = [pair for pair in self._again[arm] if pair != (repeat, case)]
            self._has_again[arm] = bool(self._again[arm])
        self._told.add(key)
        self.n_told[arm] += 1
        self.n_failed[arm] += kind is not OutcomeKind.OK
        return True


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([array, np.zeros_like(array)], axis=-1)
