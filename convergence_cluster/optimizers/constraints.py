"""Constraints: which arms break a bound of a metric, and by how much."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.search import ROUNDING, ArmState, Objective
from convergence_cluster.optimizers.arms import Arms
from convergence_cluster.optimizers.front import MetricMeans

Floats = NDArray[np.float64]

SURE = 3.0
"""Standard deviations beyond a bound at which an arm surely breaks it."""
MIN_TRIED = 4
"""Cases, or as many as there are, before an arm may be retired for a bound: all arms may fail on the first case."""


class Bounds:
    """Retires the arms that surely break a bound, and brings them back if it turns out that none keeps it."""

    def __init__(self, objectives: Sequence[Objective], n_cases: int) -> None:
        self._objectives = tuple(objectives)
        self._tried = min(MIN_TRIED, n_cases)
        self._retired: set[int] = set()
        self.exist = any(o.low is not None or o.high is not None for o in objectives)
        self.broken = np.zeros(0)
        """By how much each arm broke the bounds when last looked at; see `violation`."""

    def retire(self, arms: Arms, metrics: MetricMeans, n_cases: Floats) -> None:
        """Retire what surely breaks a bound; where everything does, what surely breaks them more than need be."""
        self.broken = np.nan_to_num(violation(metrics.means, self._objectives))
        concerned = arms.is_alive.copy()
        concerned[list(self._retired)] = True
        gone = concerned & (n_cases >= self._tried) & surely_broken(metrics, self._objectives)
        if not (concerned & ~gone).any():
            gone &= _surely_worse(metrics, self._objectives)
        for arm in np.flatnonzero(concerned & (gone == arms.is_alive)):
            arms.retire(int(arm), ArmState.DEAD if gone[arm] else ArmState.ALIVE)
        self._retired = set(np.flatnonzero(gone).tolist())


def surely_broken(metrics: MetricMeans, objectives: Sequence[Objective], deviations: float = SURE) -> NDArray[np.bool_]:
    """Say of each arm whether some mean lies beyond its bound by so many standard deviations. Shape (n_arms,)."""
    broken = np.zeros(len(metrics.means), dtype=bool)
    for k, excess, _ in _excesses(metrics.means, objectives):
        broken |= excess - deviations * np.sqrt(metrics.variances[:, k]) > 0.0
    return broken


def violation(values: Floats, objectives: Sequence[Objective]) -> Floats:
    """Return by how much each row of mean metrics breaks the bounds, as parts of the bound; 0 where it keeps all.

    Of a bound of 0, as parts of the largest mean.
    """
    total = np.zeros(len(values))
    for _, excess, scale in _excesses(values, objectives):
        total += np.maximum(excess, 0.0) / scale
    return total


def _surely_worse(metrics: MetricMeans, objectives: Sequence[Objective]) -> NDArray[np.bool_]:
    """Say of each arm whether it surely breaks the bounds by more than the one that breaks them least does."""
    broken, error = violation(metrics.means, objectives), np.zeros(len(metrics.means))
    for k, excess, scale in _excesses(metrics.means, objectives):
        error += np.where(excess > 0.0, np.sqrt(metrics.variances[:, k]) / scale, 0.0)
    least = int(np.nanargmin(broken))
    return np.asarray(broken - broken[least] > SURE * np.sqrt(error**2 + error[least] ** 2))


def _excesses(values: Floats, objectives: Sequence[Objective]) -> Iterator[tuple[int, Floats, float]]:
    """Yield every bound: its metric, how far each row lies beyond it, and what that is measured by.

    What a mean of numbers on the bound may lie beyond it for being rounded is nothing.
    """
    for k, objective in enumerate(objectives):
        column = values[:, k]
        for bound, sign in ((objective.low, -1.0), (objective.high, 1.0)):
            if bound is not None:
                largest = float(np.abs(column[np.isfinite(column)]).max(initial=0.0))
                excess = sign * (column - bound)
                excess = np.where(np.abs(excess) <= ROUNDING * abs(bound), 0.0, excess)
                yield k, excess, abs(bound) or largest or 1.0
