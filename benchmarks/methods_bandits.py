"""Bandits without a model of the parameters: successive halving without barriers, UCB-E, top-two Thompson sampling."""

import bisect
import heapq
import math
from collections.abc import Sequence

import numpy as np

from benchmarks.methods_planned import Z_90
from benchmarks.simulation import Result, Verdict, Work
from benchmarks.worlds import World

MIN_DRAWS = 2
"""A row with fewer draws is recommended only where no other has more."""


class Sums:
    """What came back of every row; all rows see the items in one shared order, pass after pass."""

    def __init__(self, world: World) -> None:
        self.n_items = world.n_items
        self.n_max = world.n_draws
        self.n_asked = np.zeros(world.n_rows, dtype=np.int64)
        self.n_told = np.zeros(world.n_rows, dtype=np.int64)
        self.total = np.zeros(world.n_rows)
        self.squares = np.zeros(world.n_rows)
        self.ties = world.tie_breaks()

    def take(self, row: int, n_calls: int, tag: int = 0) -> Work:
        """Return the row's next draws, as many as one pass and the recorded outcomes allow."""
        start = int(self.n_asked[row])
        repeat, item = divmod(start, self.n_items)
        stop = min(item + n_calls, self.n_items)
        self.n_asked[row] += stop - item
        return Work(row=row, items=range(item, stop), repeat=repeat, tag=tag)

    def add(self, result: Result) -> None:
        """Count one finished call."""
        self.n_told[result.row] += 1
        self.total[result.row] += result.score
        self.squares[result.row] += result.score**2

    def verdict(self, row: int) -> Verdict:
        """Report a row's plain mean with a normal interval."""
        n = int(self.n_told[row])
        mean = float(self.total[row]) / n
        if n < MIN_DRAWS:
            return Verdict(row=row, reported=mean, low=mean - 1, high=mean + 1)
        variance = max(float(self.squares[row]) - n * mean * mean, 0.0) / (n - 1)
        half = Z_90 * math.sqrt(variance / n)
        return Verdict(row=row, reported=mean, low=mean - half, high=mean + half)


class AsyncHalving:
    """ASHA: a free worker promotes a row of the top 1/eta of its rung, else opens a new one.

    Source: Li et al., "A system for massively parallel hyperparameter tuning", MLSys (2020), algorithm 2.
    """

    def __init__(self, world: World, *, first: int, eta: int) -> None:
        self._sums = Sums(world)
        self._eta = eta
        self._unopened = np.random.default_rng([world.seed, 51]).permutation(world.n_rows).tolist()
        sizes = [first]
        while sizes[-1] * eta <= world.n_draws:
            sizes.append(sizes[-1] * eta)
        self._sizes = sizes
        self._finished: list[dict[int, float]] = [{} for _ in sizes]
        self._ranked: list[list[float]] = [[] for _ in sizes]
        self._waiting: list[list[tuple[float, int]]] = [[] for _ in sizes]
        self._rung: dict[int, int] = {}
        self._pending: list[int] = []

    def ask(self) -> Work | None:
        """Return the rest of a row's rung, else a promotion, else a new row."""
        while self._pending:
            row = self._pending[0]
            if self._sums.n_asked[row] < self._sizes[self._rung[row]]:
                return self._sums.take(row, self._sizes[self._rung[row]] - int(self._sums.n_asked[row]))
            self._pending.pop(0)
        row = self._next_row()
        if row < 0:
            return None
        self._pending.append(row)
        return self._sums.take(row, self._sizes[self._rung[row]] - int(self._sums.n_asked[row]))

    def tell(self, result: Result) -> None:
        """Count one call, and a rung where it is complete."""
        self._sums.add(result)
        row = result.row
        if self._sums.n_told[row] == self._sizes[self._rung[row]]:
            rung = self._rung[row]
            loss = -float(self._sums.total[row] / self._sums.n_told[row] + self._sums.ties[row])
            self._finished[rung][row] = -loss
            bisect.insort(self._ranked[rung], loss)
            heapq.heappush(self._waiting[rung], (loss, row))

    def recommend(self) -> Verdict | None:
        """Return the best mean on the highest rung that any row has finished."""
        for finished in reversed(self._finished):
            if finished:
                return self._sums.verdict(max(finished, key=lambda row: finished[row]))
        return None

    def _next_row(self) -> int:
        for rung in range(len(self._sizes) - 2, -1, -1):
            waiting = self._waiting[rung]
            n_top = len(self._ranked[rung]) // self._eta
            if waiting and bisect.bisect_left(self._ranked[rung], waiting[0][0]) < n_top:
                row = heapq.heappop(waiting)[1]
                self._rung[row] = rung + 1
                return row
        if not self._unopened:
            return -1
        row = int(self._unopened.pop())
        self._rung[row] = 0
        return row


class UpperBounds:
    """UCB-E: one call at a time for the row with the highest mean + sqrt(a / n).

    Source: Audibert, Bubeck & Munos, "Best arm identification in multi-armed bandits", COLT (2010), figure 1.
    """

    def __init__(self, world: World, *, exploration: float) -> None:
        self._sums = Sums(world)
        self._exploration = exploration
        self._order = np.random.default_rng([world.seed, 52]).permutation(world.n_rows)
        self._n_opened = 0
        self._index = np.full(world.n_rows, -np.inf)

    def ask(self) -> Work | None:
        """Return one call: every row once, then by the index; calls in flight count as made."""
        if self._n_opened < len(self._order):
            row = int(self._order[self._n_opened])
            self._n_opened += 1
            return self._sums.take(row, 1)
        row = int(self._index.argmax())
        if self._index[row] == -np.inf:
            return None
        work = self._sums.take(row, 1)
        self._update(row)
        return work

    def tell(self, result: Result) -> None:
        """Count one call."""
        self._sums.add(result)
        self._update(result.row)

    def recommend(self) -> Verdict | None:
        """Return the best mean."""
        return _best_mean(self._sums)

    def _update(self, row: int) -> None:
        sums = self._sums
        if sums.n_asked[row] >= sums.n_max:
            self._index[row] = -np.inf
            return
        mean = sums.total[row] / max(sums.n_told[row], 1) + sums.ties[row]
        self._index[row] = mean + math.sqrt(self._exploration / sums.n_asked[row])


class TopTwoThompson:
    """Top-two Thompson sampling with a fixed noise level, blocks of 4 calls and no model of the parameters.

    Source: Russo, "Simple Bayesian algorithms for best arm identification", COLT (2016), algorithm TTTS.
    """

    NOISE_SD = 0.5
    PRIOR_MEAN = 0.5
    PRIOR_SD = 0.5
    BLOCK = 4

    def __init__(self, world: World) -> None:
        self._sums = Sums(world)
        self._rng = np.random.default_rng([world.seed, 53])

    def ask(self) -> Work | None:
        """Return a block of the best row of a posterior sample, or as often of the best of another sample."""
        has_more = self._sums.n_asked < self._sums.n_max
        if not has_more.any():
            return None
        row = self._draw(has_more)
        if self._rng.random() < 0.5:
            for _ in range(10):
                challenger = self._draw(has_more)
                if challenger != row:
                    row = challenger
                    break
        return self._sums.take(row, self.BLOCK)

    def tell(self, result: Result) -> None:
        """Count one call."""
        self._sums.add(result)

    def recommend(self) -> Verdict | None:
        """Return the best posterior mean."""
        mean, sd = self._posterior()
        row = int(mean.argmax())
        half = Z_90 * float(sd[row])
        return Verdict(row=row, reported=float(mean[row]), low=float(mean[row]) - half, high=float(mean[row]) + half)

    def _posterior(self) -> tuple[np.ndarray, np.ndarray]:
        precision = self.PRIOR_SD**-2 + self._sums.n_told * self.NOISE_SD**-2
        mean = (self.PRIOR_MEAN * self.PRIOR_SD**-2 + self._sums.total * self.NOISE_SD**-2) / precision
        return mean, precision**-0.5

    def _draw(self, allowed: np.ndarray) -> int:
        mean, sd = self._posterior()
        return int(np.where(allowed, mean + sd * self._rng.standard_normal(len(mean)), -np.inf).argmax())


def _best_mean(sums: Sums) -> Verdict | None:
    for n_min in (MIN_DRAWS, 1):
        if (sums.n_told >= n_min).any():
            means = np.where(sums.n_told >= n_min, sums.total / np.maximum(sums.n_told, 1) + sums.ties, -np.inf)
            return sums.verdict(int(means.argmax()))
    return None


ASHA_SETTINGS: Sequence[tuple[int, int]] = ((2, 2), (8, 2), (8, 4))
"""First rung and eta."""
UCBE_SETTINGS: Sequence[float] = (0.25, 1.0, 4.0)
