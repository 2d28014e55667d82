"""The search for the whole front: every decision weighs the metrics anew, by a random direction.

Each metric has a model of its own over the same features. A direction is drawn, every arm and candidate is drawn from
its posterior in every metric, and the one that reaches farthest in that direction is called, or what is expected to
reach farthest, if that is an arm of which less is known. Source: Golovin & Zhang 2020, "Random hypervolume
scalarizations for provable multi-objective black box optimization" (eq. 1); Paria, Kandasamy & Poczos 2019, "A flexible
framework for multi-objective Bayesian optimization using random scalarizations" (algorithm 1, Thompson sampling).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.search import Direction, Objective
from convergence_cluster.optimizers.design import Design
from convergence_cluster.optimizers.front import MetricMeans
from convergence_cluster.optimizers.surrogate import Surrogate

Floats = NDArray[np.float64]

LOG_RATIO = 10.0
"""Positive metrics that are to be small and whose means span more than this are weighed by their logarithms."""
MIN_ARMS = 8
CAUTION = 0.5
"""Standard deviations by which an arm is taken for less than expected when the front is told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricPriors:
    """What is expected of candidates in every metric, as utilities, shape (n, n_objectives) each."""

    means: Floats
    variances: Floats

    def only(self, kept: NDArray[np.bool_]) -> "MetricPriors":
        """Return it for some of the candidates."""
        return MetricPriors(means=self.means[kept], variances=self.variances[kept])


class Tradeoffs:
    """Posteriors of arms and candidates in every metric, as utilities: about 0 to 1, more is better."""

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self._objectives = tuple(objectives)
        self._models: list[Surrogate] = []
        self.means = np.zeros((0, len(objectives)))
        self.variances = np.zeros((0, len(objectives)))

    @property
    def is_known(self) -> bool:
        """Say whether enough arms were called to weigh metrics against each other."""
        return len(self._models) > 0

    def fit(self, design: Design, features: Floats, metrics: MetricMeans) -> None:
        """Fit every metric's model to the arms' means, shape (n_arms, n_objectives), and update the posteriors."""
        known = np.asarray(np.isfinite(metrics.means).all(axis=1) & np.isfinite(metrics.variances).all(axis=1))
        if known.sum() < MIN_ARMS:
            return
        if not self._models or self._models[0].n_features != features.shape[1]:
            self._models = [Surrogate(design.widths, design.shares()) for _ in self._objectives]
        columns = [self._fit_one(k, features, metrics, known) for k in range(len(self._objectives))]
        self.means = np.column_stack([mean for mean, _ in columns])
        self.variances = np.column_stack([variance for _, variance in columns])

    def parents(self, best: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the best arms by score and, by turns with them, those that reach farthest in random directions."""
        n = self.means.shape[1]
        if not self.is_known:
            return best
        far = [int(_reach(self.means, _direction(n, rng)).argmax()) for _ in best]
        mixed = np.column_stack([best, far]).ravel()
        _, first = np.unique(mixed, return_index=True)
        return mixed[np.sort(first)][: len(best)]

    def sure(self, n: int) -> Floats:
        """Return the posterior means less a margin for what is not known, shape (n, n_objectives); nan if unknown."""
        points = np.full((n, len(self._objectives)), np.nan)
        points[: len(self.means)] = self.means - CAUTION * np.sqrt(self.variances)
        return points

    def choose(self, arms: NDArray[np.int64], features: Floats, short: MetricPriors, rng: np.random.Generator) -> int:
        """Return which of the arms, or counted on beyond them which of the shortlist, may reach farthest.

        The arm that should is to be known as well as its rival, or a lucky one stays on the front. `features` are those
        of all arms; arms opened since the last `fit` are expected to be as the models say.
        """
        new = self.expected(features[len(self.means) :])
        means = np.concatenate([np.concatenate([self.means, new.means])[arms], short.means])
        variances = np.concatenate([np.concatenate([self.variances, new.variances])[arms], short.variances])
        direction = _direction(means.shape[1], rng)
        draws = means + np.sqrt(variances) * rng.standard_normal(means.shape)
        rival = int(_reach(draws, direction).argmax())
        if len(arms) == 0 or rival >= len(arms):
            return rival
        leader = int(_reach(means[: len(arms)], direction).argmax())
        return leader if variances[leader].sum() > variances[rival].sum() else rival

    def promising(self, features: Floats, n: int, n_draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return the places of at most n rows of features that reach farthest in some of the random directions."""
        draws = np.stack([features @ model.draws(n_draws, rng) for model in self._models], axis=2)
        deviations = np.array([model.deviation for model in self._models]) ** 0.5
        draws += deviations * rng.standard_normal(draws.shape)
        each = min(max(n // n_draws, 1), len(features) - 1)
        best = [
            np.argpartition(-_reach(draws[:, k], _direction(draws.shape[2], rng)), each)[:each] for k in range(n_draws)
        ]
        return np.unique(np.concatenate(best)).astype(np.int64)

    def expected(self, features: Floats) -> MetricPriors:
        """Return what the models say of arms that have no calls."""
        if not self._models:
            shape = (len(features), len(self._objectives))
            return MetricPriors(means=np.zeros(shape), variances=np.ones(shape))
        both = [model.predict(features) for model in self._models]
        deviations = np.array([model.deviation for model in self._models])
        means, variances = (np.column_stack(columns) for columns in zip(*both, strict=True))
        return MetricPriors(means=means, variances=variances + deviations)

    def _fit_one(
        self, k: int, features: Floats, metrics: MetricMeans, known: NDArray[np.bool_]
    ) -> tuple[Floats, Floats]:
        utility, error = utilities(metrics.means[:, k], metrics.variances[:, k], known, self._objectives[k].direction)
        model, ones = self._models[k], np.ones(len(features))
        model.fit(features, utility, error, ones)
        means, variances = model.cavity(features, utility, error, ones)
        model.temper((utility - means)[known], (variances + error)[known], ones[known])
        spread = variances + model.deviation
        kept = np.where(known, spread / (spread + error), 0.0)
        return means + kept * (utility - means), (1.0 - kept) * spread


def utilities(
    means: Floats, variances: Floats, known: NDArray[np.bool_], direction: Direction
) -> tuple[Floats, Floats]:
    """Return means on the scale from the worst to the best known, and the variances of their errors; inf if unknown."""
    values, errors = np.where(known, means, 0.0), np.where(known, variances, np.inf)
    low, high = float(values[known].min()), float(values[known].max())
    if direction is Direction.MINIMIZE and low > 0.0 and high > LOG_RATIO * low:
        errors = errors / np.where(known, values, 1.0) ** 2
        values = np.where(known, np.log(np.where(known, values, 1.0)), 0.0)
        low, high = float(np.log(low)), float(np.log(high))
    width = max(high - low, 1e-12)
    scaled = (values - low) / width
    scaled = scaled if direction is Direction.MAXIMIZE else 1.0 - scaled
    return np.where(known, scaled, 0.5), np.where(known, np.maximum(errors / width**2, 1e-9), np.inf)


def _direction(n: int, rng: np.random.Generator) -> Floats:
    direction = np.abs(rng.standard_normal(n))
    return np.asarray(np.maximum(direction / float(np.sqrt((direction**2).sum())), 1e-3))


def _reach(points: Floats, direction: Floats) -> Floats:
    reach: Floats = (points / direction).min(axis=1)
    return reach
