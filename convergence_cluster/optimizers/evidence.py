"""What the calls said, as sums per arm, with what each test case adds taken off.

A cell is one arm on one case; repeated calls of a cell are averaged. The sums are kept as calls arrive; `adjust`
rebuilds them when the case effects change.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.search import KnownCase
from convergence_cluster.optimizers.interplay import UNEXPLAINED, Cells, Explained, Kin
from convergence_cluster.optimizers.noise import CaseEffects, Noise
from convergence_cluster.optimizers.slopes import CaseSlopes

Floats = NDArray[np.float64]


class Sum(IntEnum):
    """The sums kept per arm, over its cells; w is a case's weight, r a score less its case effect."""

    CELLS = 0
    W = 1
    WW = 2
    WW_PER_CALL = 3
    WR = 4
    R = 5
    RR = 6
    WW_EFFECT = 7
    """Of w * w times the uncertainty of the case effect, and of what the arm's kin say."""


class Evidence:
    """Cells by arm and case, and their sums by arm."""

    def __init__(
        self, weights: Floats, *, can_repeat: bool, with_effects: bool = True, known: Sequence[KnownCase] = ()
    ) -> None:
        self.weights = weights / weights.mean()
        self._total, self._total_ww = float(self.weights.sum()), float((self.weights**2).sum())
        self.n_arms = 0
        self.n_calls = 0
        self._between = 0.0
        self.effects = CaseEffects(weights, known)
        self.slopes = CaseSlopes(weights)
        self.noise = Noise(can_repeat=can_repeat)
        self._with_effects = with_effects
        self._ids: dict[int, int] = {}
        self._arm = np.zeros(256, dtype=np.int64)
        self._case = np.zeros(256, dtype=np.int64)
        self._mean = np.zeros(256)
        self._rest = np.zeros(256)
        self._count = np.zeros(256)
        self._sums = np.zeros((len(Sum), 64))
        self._repeats = np.zeros((2, 64))
        self._shared = np.zeros(64)

    @property
    def counts(self) -> Floats:
        """Distinct cases per arm, shape (n_arms,)."""
        return self._sums[Sum.CELLS, : self.n_arms]

    def add_arm(self, shared: float = 0.0) -> None:
        """Make room for one more arm, whose mean will have an error of this variance in common with its kin."""
        if self.n_arms == self._sums.shape[1]:
            self._sums = np.concatenate([self._sums, np.zeros_like(self._sums)], axis=1)
            self._repeats = np.concatenate([self._repeats, np.zeros_like(self._repeats)], axis=1)
            self._shared = np.tile(self._shared, 2)
        self._shared[self.n_arms] = shared
        self.n_arms += 1

    def add(self, arm: int, case: int, score: float, centre: float = 0.5, kin: Explained = UNEXPLAINED) -> None:
        """Take in one score of an arm that is believed to score `centre`, and what its kin say of it."""
        self.n_calls += 1
        self._between += score * (1.0 - score)
        key = arm * len(self.weights) + case
        cell = self._ids.get(key)
        if cell is None:
            self._open(arm, case, score, score - float(self._offset(case, centre)) - kin.value, kin.doubt)
        else:
            self._repeat(cell, arm, case, score)

    def means(self) -> Floats:
        """Return each arm's weighted mean less case effects, nan where there is no cell. Shape (n_arms,)."""
        w = self._sums[Sum.W, : self.n_arms]
        return np.where(w > 0, self._sums[Sum.WR, : self.n_arms] / np.maximum(w, 1e-12), np.nan)

    def mean_of(self, arm: int) -> float:
        """Return one arm's mean; see `means`."""
        return float(self._sums[Sum.WR, arm] / self._sums[Sum.W, arm])

    def errors(self, centres: Floats, spreads: Floats | float = 0.0) -> Floats:
        """Return each mean's variance around the true mean over all cases, if the arms score as believed.

        inf without cells. Shape (n_arms,).
        """
        return self._errors(self._sums[:, : self.n_arms], centres, spreads, self._shared[: self.n_arms])

    def errors_of(self, arm: int, centres: Floats, spreads: Floats) -> Floats:
        """Return one arm's error for each of several beliefs about its mean; see `errors`."""
        return self._errors(self._sums[:, arm : arm + 1], centres, spreads, self._shared[arm : arm + 1])

    def level_variances(self, centres: Floats) -> Floats:
        """Return the variance that the cases not yet seen leave in the means of all arms alike. Shape (n_arms,)."""
        return self.effects.level_variance() + self.slopes.level_variances(centres)

    def call_variances(self, centres: Floats) -> Floats:
        """Return the variance of one call of each arm, case effects taken off. Shape (n_arms,)."""
        sums = self._sums[:, : self.n_arms]
        return self.noise.variances(sums[Sum.CELLS], _squares(sums), centres)

    def surprise(self, case: int, score: float, mean: float) -> float:
        """Return how far a score lies above what is expected of an arm of this mean on this case."""
        return score - float(self._offset(case, mean)) - mean

    def call_variance(self, mean: float) -> float:
        """Return the variance that is expected of one call of an arm of this mean."""
        return float(self.noise.expected(np.ones(1), np.array([mean]))[0])

    def adjust(self, centres: Floats, kin: Kin | None = None) -> None:
        """Fit the case effects and the noise anew around the arms' means as now believed, and rebuild every sum.

        With `kin`, what alike arms have in common on single cases is taken off too.
        """
        n = len(self._ids)
        if n == 0:
            return
        arm, case, mean, count = self._arm[:n], self._case[:n], self._mean[:n], self._count[:n]
        centre, own, weight = centres[arm], self.means(), self.weights[case]
        if self._with_effects:
            self.slopes.fit(case, mean - centre, centre, self.n_arms)
            alike = 0.0 if kin is None else kin.alike(arm, case)
            self.effects.fit(case, mean - centre - self.slopes.offset(case, centre), self.n_arms, alike)
        spread = self.effects.variances[case] + self.slopes.spread(case, centre)
        rest, doubt = mean - self._offset(case, centre), np.zeros(n)
        if kin is not None:
            within = self.noise.share_within
            cells = Cells(
                arm=arm, case=case, own_rests=rest - own[arm], rests=rest - centre,
                doubts=kin.doubts[arm], noises=1.0 - within + within / count,
            )  # fmt: skip
            explained, doubt = kin.explain(cells)
            rest -= explained
            self._shared[: self.n_arms] = kin.shared()
        self._rest[:n] = rest
        hidden = self.noise.share_within * (1 - 1 / count) * self.call_variances(centres)[arm]
        ww = weight * weight
        squares, effects = rest * rest + spread + hidden, ww * (spread + doubt)
        terms = (np.ones(n), weight, ww, ww / count, weight * rest, rest, squares, effects)
        for row, term in zip(self._sums, terms, strict=True):
            row[: self.n_arms] = np.bincount(arm, weights=term, minlength=self.n_arms)
        sums = self._sums[:, : self.n_arms]
        self.noise.bound(self._between, float((count * (centres * (1.0 - centres))[arm]).sum()))
        self.noise.fit(sums[Sum.CELLS], _squares(sums), centres)
        squares, repeats = self._repeats[:, : self.n_arms]
        self.noise.fit_repeats(squares, repeats, self.call_variances(centres))

    def common(self, left: int, right: int) -> tuple[Floats, Floats]:
        """Return the cell means of two arms on the cases that both have, in the same order."""
        n = len(self.weights)
        pairs = [
            (self._mean[cell], self._mean[other])
            for case in range(n)
            if (cell := self._ids.get(left * n + case)) is not None
            and (other := self._ids.get(right * n + case)) is not None
        ]
        both = np.array(pairs).reshape(len(pairs), 2)
        return both[:, 0], both[:, 1]

    def cells(self) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
        """Return arm, case, mean score, and that less what the case adds, of every cell, shape (n_cells,) each."""
        n = len(self._ids)
        return self._arm[:n], self._case[:n], self._mean[:n], self._rest[:n]

    def _errors(self, sums: Floats, centres: Floats, spreads: Floats | float, shared: Floats) -> Floats:
        w = np.maximum(sums[Sum.W], 1e-12)
        missing = np.maximum(1.0 - w / self._total, 0.0)
        rest = np.maximum(self._total_ww - sums[Sum.WW], 0.0) / self._total**2
        sampled = missing**2 * sums[Sum.WW] / w**2 + rest
        within = self.noise.share_within
        variance = self.noise.variances(sums[Sum.CELLS], _squares(sums), centres, spreads)
        error = variance * ((1 - within) * sampled + within * sums[Sum.WW_PER_CALL] / w**2)
        error += missing * (sums[Sum.WW_EFFECT] / w**2 + shared)
        return np.where(sums[Sum.CELLS] > 0, np.maximum(error, 1e-12), np.inf)

    def _offset(self, case: NDArray[np.int64] | int, centre: Floats | float) -> Floats:
        return np.asarray(self.effects.values[case] + self.slopes.offset(case, centre))

    def _open(self, arm: int, case: int, score: float, rest: float, doubt: float) -> None:
        cell = len(self._ids)
        if cell == len(self._arm):
            self._grow()
        self._ids[arm * len(self.weights) + case] = cell
        self._arm[cell], self._case[cell] = arm, case
        self._mean[cell], self._count[cell] = score, 1.0
        self._rest[cell] = rest
        w, spread = float(self.weights[case]), float(self.effects.variances[case])
        self._sums[:, arm] += (1.0, w, w * w, w * w, w * rest, rest, rest * rest + spread, w * w * (spread + doubt))

    def _repeat(self, cell: int, arm: int, case: int, score: float) -> None:
        count, mean, w = float(self._count[cell]), float(self._mean[cell]), float(self.weights[case])
        new = mean + (score - mean) / (count + 1)
        column = self._sums[:, arm : arm + 1]
        centre = column[Sum.R] / column[Sum.CELLS]
        variance = float(self.noise.variances(column[Sum.CELLS], _squares(column), centre)[0])
        self.noise.tell_repeat((score - mean) * (score - new), variance)
        self._repeats[:, arm] += ((score - mean) * (score - new), 1.0)
        self._mean[cell], self._count[cell] = new, count + 1
        rest, less = float(self._rest[cell]), 1 / count - 1 / (count + 1)
        self._rest[cell] += new - mean
        self._sums[Sum.RR, arm] += self._rest[cell] ** 2 - rest**2 + self.noise.share_within * variance * less
        self._sums[Sum.WW_PER_CALL, arm] += w * w * (1 / (count + 1) - 1 / count)
        self._sums[Sum.WR, arm] += w * (new - mean)
        self._sums[Sum.R, arm] += new - mean

    def _grow(self) -> None:
        self._arm, self._case = np.tile(self._arm, 2), np.tile(self._case, 2)
        self._mean, self._count = np.tile(self._mean, 2), np.tile(self._count, 2)
        self._rest = np.tile(self._rest, 2)


def _squares(sums: Floats) -> Floats:
    squares: Floats = np.maximum(sums[Sum.RR] - sums[Sum.R] ** 2 / np.maximum(sums[Sum.CELLS], 1.0), 0.0)
    return squares
