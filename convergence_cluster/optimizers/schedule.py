"""Which calls of each arm were made, are on their way, and come next: the shared case order, once per repeat."""

from collections.abc import Sequence

from convergence_cluster.domain.calls import OutcomeKind

Key = tuple[int, int, int]
"""(arm, case, repeat)."""


class Schedule:
    """The calls of all arms. An arm's calls follow the shared order of cases, then again for the next repeat."""

    def __init__(self, order: Sequence[int], max_repeats: int) -> None:
        self._order = tuple(int(case) for case in order)
        self._length = len(self._order) * max(max_repeats, 1)
        self._next: list[int] = []
        self._again: list[list[tuple[int, int]]] = []
        self._pending: set[Key] = set()
        self._told: set[Key] = set()
        self.in_flight: list[int] = []
        """Calls asked for and not told yet, by arm."""
        self.n_told: list[int] = []
        """Finished calls by arm, with or without a score."""
        self.n_failed: list[int] = []
        """Finished calls without a score by arm."""

    def open(self) -> None:
        """Make room for one more arm."""
        self._next.append(0)
        self._again.append([])
        for counts in (self.in_flight, self.n_told, self.n_failed):
            counts.append(0)

    def has_more(self, arm: int) -> bool:
        """Say whether any call of the arm is left to ask for."""
        return self._next[arm] < self._length or bool(self._again[arm])

    def take(self, arm: int, size: int) -> tuple[tuple[int, ...], int]:
        """Return an arm's next cases, at least one and at most `size`, and their repeat.

        They are in flight from now on.
        """
        if self._again[arm]:
            repeat = self._again[arm][0][0]
            cases = [case for other, case in self._again[arm] if other == repeat][:size]
            self._again[arm] = [pair for pair in self._again[arm] if pair[0] != repeat or pair[1] not in cases]
        else:
            repeat, start = divmod(self._next[arm], len(self._order))
            cases = list(self._order[start : start + size])
            self._next[arm] += len(cases)
        self._pending.update((arm, case, repeat) for case in cases)
        self.in_flight[arm] += len(cases)
        return tuple(cases), repeat

    def settle(self, key: Key, kind: OutcomeKind) -> bool:
        """Note that a call ended, and say whether that is news: neither told before nor skipped."""
        arm, case, repeat = key
        if key in self._told:
            return False
        if key in self._pending:
            self._pending.discard(key)
            self.in_flight[arm] -= 1
            if kind is OutcomeKind.SKIPPED:
                self._again[arm].append((repeat, case))
                return False
        elif kind is OutcomeKind.SKIPPED:
            return False
        if self._again[arm]:
            self._again[arm] = [pair for pair in self._again[arm] if pair != (repeat, case)]
        self._told.add(key)
        self.n_told[arm] += 1
        self.n_failed[arm] += kind is not OutcomeKind.OK
        return True
