"""Posterior means of the raw metrics of every arm, from the same cells as the score."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.front import MetricMeans
from convergence_cluster.optimizers.noise import CaseEffects

Floats = NDArray[np.float64]

_SWEEPS = 3
_MIN_FREEDOM = 4.0
"""Degrees of freedom of the scatter within arms, up to which that of all values counts for what is missing."""
_PSEUDO_FREEDOM = 6.0
"""With which an arm's own scatter is drawn towards that of all."""


class Metrics:
    """Every call's raw metrics. Nothing is computed until asked for."""

    def __init__(self, n_objectives: int, weights: Floats, *, can_repeat: bool) -> None:
        self.n_objectives = n_objectives
        self._can_repeat = can_repeat
        self._weights = weights
        self._n = 0
        self._arm = np.zeros(64, dtype=np.int64)
        self._case = np.zeros(64, dtype=np.int64)
        self._value = np.zeros((64, n_objectives))

    def add(self, arm: int, case: int, values: Sequence[float]) -> None:
        """Take in one call's metrics."""
        if self._n == len(self._arm):
            self._arm, self._case = np.tile(self._arm, 2), np.tile(self._case, 2)
            self._value = np.tile(self._value, (2, 1))
        self._arm[self._n], self._case[self._n], self._value[self._n] = arm, case, values
        self._n += 1

    def means(self, n_arms: int) -> MetricMeans:
        """Return every arm's mean of its calls, with what its cases add or take off, within what was ever seen.

        Not drawn towards the other arms: it stands beside the calls and has to agree with them.
        """
        columns = [self._column(k, n_arms) for k in range(self.n_objectives)]
        return MetricMeans(
            means=np.column_stack([mean for mean, _ in columns]),
            variances=np.column_stack([variance for _, variance in columns]),
            lows=self._value[: self._n].min(axis=0, initial=np.inf),
            highs=self._value[: self._n].max(axis=0, initial=-np.inf),
        )

    def _column(self, k: int, n_arms: int) -> tuple[Floats, Floats]:
        arm, case, value = self._arm[: self._n], self._case[: self._n], self._value[: self._n, k]
        if self._n == 0:
            return np.full(n_arms, np.nan), np.full(n_arms, np.nan)
        weight = self._weights[case]
        total = np.maximum(np.bincount(arm, weights=weight, minlength=n_arms), 1e-12)
        counts = np.bincount(arm, minlength=n_arms).astype(float)
        effects = CaseEffects(self._weights)
        centres = np.bincount(arm, weights=weight * value, minlength=n_arms) / total
        for _ in range(_SWEEPS):
            effects.fit(case, value - centres[arm], n_arms)
            centres = np.bincount(arm, weights=weight * (value - effects.values[case]), minlength=n_arms) / total
        rest = value - effects.values[case] - centres[arm]
        squares, free = np.bincount(arm, weights=rest**2, minlength=n_arms), np.maximum(counts - 1.0, 0.0)
        missing = max(_MIN_FREEDOM - float(free.sum()), 0.0)
        all_values = float(value.var()) if self._n > 1 else np.inf
        pooled = (float(squares.sum()) + missing * all_values) / (float(free.sum()) + missing)
        own = (_PSEUDO_FREEDOM * pooled + squares) / (_PSEUDO_FREEDOM + free)
        known, sampled = counts > 0, self._sampled(arm, case, total)
        error = np.multiply(own, sampled, out=np.zeros(n_arms), where=sampled > 0.0)
        means = np.where(known, np.clip(centres, value.min(), value.max()), np.nan)
        return means, np.where(known, error, np.inf)

    def _sampled(self, arm: NDArray[np.int64], case: NDArray[np.int64], total: Floats) -> Floats:
        """Return the variance of each arm's mean as a part of a call's; none if it has seen all there is to see."""
        squares = np.bincount(arm, weights=self._weights[case] ** 2, minlength=len(total))
        if self._can_repeat:
            return np.asarray(squares / total**2)
        whole = float(self._weights.sum())
        missing = np.maximum(1.0 - total / whole, 0.0)
        rest = np.maximum(float((self._weights**2).sum()) - squares, 0.0)
        return np.asarray(missing**2 * squares / total**2 + rest / whole**2)


def no_metrics(n_arms: int) -> MetricMeans:
    """Return the means of no metric at all."""
    return MetricMeans(
        means=np.zeros((n_arms, 0)), variances=np.zeros((n_arms, 0)), lows=np.zeros(0), highs=np.zeros(0)
    )
