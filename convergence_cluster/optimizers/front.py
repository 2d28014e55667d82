"""The Pareto front over raw metrics, and which of it are worth showing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.search import Direction, Objective

_DIGITS = 9
"""Of a metric's largest value, to which values are compared."""
_N_DIRECTIONS = 512
_MARGIN = 0.1
"""Part of the span by which the reference lies below the worst, so that what is worst in one metric counts too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricMeans:
    """Normal posteriors of arms' raw metrics, shape (n_arms, n_objectives) each; nan where no arm has a value yet."""

    means: NDArray[np.float64]
    variances: NDArray[np.float64]
    lows: NDArray[np.float64]
    """The smallest value seen of each, shape (n_objectives,); `highs` the largest."""
    highs: NDArray[np.float64]


def oriented(values: NDArray[np.float64], objectives: Sequence[Objective]) -> NDArray[np.float64]:
    """Return metric values with the sign that makes more better, shape (n, n_objectives)."""
    signs: NDArray[np.float64] = np.array([1.0 if o.direction is Direction.MAXIMIZE else -1.0 for o in objectives])
    return np.asarray(values * signs)


def nondominated(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Say of each point, more being better, whether no other is as good in all and better in one. Shape (n,).

    Values that differ by the error of arithmetic alone are equal: else the last bit of equal costs makes a front.
    """
    points = np.round(points / np.maximum(np.abs(points).max(axis=0, initial=0.0), 1e-300), _DIGITS)
    keep = np.ones(len(points), dtype=bool)
    for i in np.argsort(-points.sum(axis=1), kind="stable"):
        if keep[i]:
            beaten = (points <= points[i]).all(axis=1) & (points < points[i]).any(axis=1)
            keep &= ~beaten
    return keep


def shown_front(points: NDArray[np.float64], is_kept: NDArray[np.bool_], n: int) -> NDArray[np.int64]:
    """Return the places of at most n points of the front in the order in which they are worth showing.

    Those that keep the constraints come first, and of either those that cover most; see `most_covering`.
    """
    front = np.flatnonzero(nondominated(points))
    halves = [most_covering(points, half, n) for half in (front[is_kept[front]], front[~is_kept[front]])]
    return np.concatenate(halves)[:n]


def most_covering(points: NDArray[np.float64], front: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Return n of the places on the front: those that, one by one, add most to the volume between them and the worst.

    `points`: shape (n_points, n_objectives), more being better, on any scale. The volume is the mean over random
    directions of the farthest reach to its power. Source: Golovin & Zhang 2020, "Random hypervolume scalarizations for
    provable multi-objective black box optimization" (lemma 5).
    """
    if len(front) == 0:
        return front
    n_objectives = points.shape[1]
    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points[front] - low) / np.maximum(high - low, 1e-12) + _MARGIN
    directions = np.abs(np.random.default_rng(0).standard_normal((_N_DIRECTIONS, n_objectives)))
    directions = np.maximum(directions / np.linalg.norm(directions, axis=1, keepdims=True), 1e-3)
    reach = (scaled[:, None, :] / directions).min(axis=2) ** n_objectives
    covered, chosen = np.zeros(_N_DIRECTIONS), np.zeros(min(n, len(front)), dtype=np.int64)
    for k in range(len(chosen)):
        gains = np.maximum(reach - covered, 0.0).sum(axis=1)
        gains[chosen[:k]] = -1.0
        chosen[k] = gains.argmax()
        covered = np.maximum(covered, reach[chosen[k]])
    return front[chosen]
