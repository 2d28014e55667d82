"""The Pareto front over raw metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.search import Direction, Objective

SURE = 3.0
"""Standard deviations beyond a bound at which an arm surely breaks it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricMeans:
    """Normal posteriors of arms' raw metrics, shape (n_arms, n_objectives) each; nan where no arm has a value yet."""

    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    lows: NDArray[np.float64]
    """The smallest value seen of each, shape (n_objectives,); `highs` the largest."""
    highs: NDArray[np.float64]


def surely_broken(metrics: MetricMeans, objectives: Sequence[Objective]) -> NDArray[np.bool_]:
    """Say of each arm whether some mean lies beyond its bound by three standard deviations. Shape (n_arms,)."""
    slack = SURE * np.sqrt(metrics.variances)
    broken = np.zeros(len(metrics.means), dtype=bool)
    for k, objective in enumerate(objectives):
        if objective.low is not None:
            broken |= metrics.means[:, k] + slack[:, k] < objective.low
        if objective.high is not None:
            broken |= metrics.means[:, k] - slack[:, k] > objective.high
    return broken


def oriented(values: NDArray[np.float64], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Return metric values with the sign that makes more better, shape (n, n_objectives)."""
    signs: NDArray[np.float64] = np.array([1.0 if o.direction is Direction.MAXIMIZE else -1.0 for o in objectives])
    return np.asarray(values * signs)


def nondominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say of each point, more being better, whether no other is as good in all and better in one. Shape (n,)."""
    keep = np.ones(len(points), dtype=bool)
    for i in np.argsort(-points.sum(axis=1), kind="stable"):
        if keep[i]:
            beaten = (points <= points[i]).all(axis=1) & (points < points[i]).any(axis=1)
            keep &= ~beaten
    return keep


def violation(values: NDArray[np.float64], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Return by how much each row of mean metrics breaks the bounds, as parts of the bound; 0 where it keeps all."""
    total = np.zeros(len(values))
    for k, objective in enumerate(objectives):
        if objective.low is not None:
            total += np.maximum(objective.low - values[:, k], 0.0) / max(abs(objective.low), 1e-9)
        if objective.high is not None:
            total += np.maximum(values[:, k] - objective.high, 0.0) / max(abs(objective.high), 1e-9)
    return total
