"""A linear model of arms' means with one estimated variance per group of features (best linear unbiased prediction).

An arm's true mean is intercept + features @ weights + its own deviation. Each group of weights (a parameter, a pair of
parameters) is normal around 0 with its own variance; so is the deviation. Groups that explain nothing get a variance of
nothing. Source: MacKay 1992, "Bayesian interpolation" (eq. 4.3 to 4.6, effective number of parameters) for the
variances; Henderson 1975 (BLUP).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PRIOR_VARIANCE = 0.06
"""Of arms' means around 0.5 before any are known: nearly uniform on [0, 1]."""
_PRIOR_LEVEL = 0.02
"""Of the level of all arms around 0.5, beside that."""
_PRIOR_GROUP = 0.5
"""Pseudo features with which a group's variance is drawn towards its share of the whole."""
_MIN_TEMPER = 8
_PRIOR_DEVIATION = 4.0
_FIRST_DEVIATION = 0.2
"""Part of the whole variance that arms' own deviations are expected to have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What earlier studies say of arms, shape (n,) each."""

    means: Floats
    variances: Floats
    shares: Floats
    """How sure it is that it holds, if the earlier studies are like this one."""

    def only(self, kept: NDArray[np.bool_]) -> "Told":
        """Return it for some of the arms."""
        return Told(means=self.means[kept], variances=self.variances[kept], shares=self.shares[kept])


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """What is expected of arms without looking at their own calls: normal by the weights, shape (n,) each."""

    means: Floats
    variances: Floats
    scales: Floats
    """How much wider than others' their own deviations are, as a factor on the variance."""
    told: "Told"
    """What earlier studies say of them."""

    def only(self, kept: NDArray[np.bool_]) -> "Prior":
        """Return it for some of the arms."""
        return Prior(
            means=self.means[kept], variances=self.variances[kept], scales=self.scales[kept], told=self.told.only(kept)
        )


class Surrogate:
    """The model's state. The first feature is the constant 1; `groups` are the widths of the others, in order."""

    def __init__(self, groups: Sequence[int], prior_shares: Sequence[float]) -> None:
        self.n_features = 1 + sum(groups)
        self._edges = np.cumsum([1, *groups])
        self._shares = np.array(prior_shares)
        self.group_variances = self._shares * _PRIOR_VARIANCE / 2
        self.deviation = _PRIOR_VARIANCE / 2
        """Variance of an arm's own deviation from the model."""
        self.mean = np.zeros(self.n_features)
        self.mean[0] = 0.5
        self.root = np.diag(np.sqrt(self._prior_variances()))
        """`root @ root.T` is the covariance of the weights."""

    def adopt(self, other: "Surrogate", same: Sequence[tuple[int, int]]) -> None:
        """Take over another model's deviation, and the variances of the groups (mine, its) that are the same."""
        self.deviation = other.deviation
        for mine, its in same:
            self.group_variances[mine] = other.group_variances[its]

    def fit(self, features: Floats, means: Floats, errors: Floats, scales: Floats, n_rounds: int = 1) -> None:
        """Fit the weights, then the variances, to arms' means with the variances of their errors."""
        known = np.isfinite(errors)
        x, y, s, k = features[known], means[known] - 0.5, errors[known], scales[known]
        if len(y) == 0:
            return
        for _ in range(n_rounds):
            self._solve(x, y, s, k)
            self._update_variances(x, y, s, k)
        self._solve(x, y, s, k)

    def predict(self, features: Floats) -> tuple[Floats, Floats]:
        """Return mean and variance of what the weights say, without the arms' own deviations, shape (n,) each."""
        spread = features @ self.root
        return features @ self.mean, np.einsum("ij,ij->i", spread, spread)

    def cavity(self, features: Floats, means: Floats, errors: Floats, scales: Floats) -> tuple[Floats, Floats]:
        """Return mean and variance as `predict`, for arms the model was fitted to, each with its own calls left out."""
        fitted, variance = self.predict(features)
        own = np.where(np.isfinite(errors), self.deviation * scales + errors, np.inf)
        precision = np.maximum(1.0 / np.maximum(variance, 1e-12) - 1.0 / own, 1e-3)
        told = np.where(np.isfinite(own), means / own, 0.0)
        centre = (fitted / np.maximum(variance, 1e-12) - told) / precision
        return centre, 1.0 / precision

    def temper(self, surprises: Floats, spreads: Floats, scales: Floats) -> None:
        """Raise the deviation to what predictions of arms without their own calls were off by, if that is more.

        Takes observed less expected means and the variances they would have with no deviation at all. A model
        with as many weights as arms can explain them all and nothing else.
        """
        if len(surprises) < _MIN_TEMPER:
            return
        excess = surprises**2 - spreads
        weights = scales / (spreads + self.deviation * scales) ** 2
        missed = float((weights * excess).sum() / (weights * scales).sum())
        broad = 1.0 / (spreads + _PRIOR_VARIANCE) ** 2
        chance = float(np.sqrt((2.0 * (broad * spreads) ** 2).sum()))
        missed = max(missed, float((broad * excess).sum() - chance) / float(broad.sum()))
        self.deviation = max(self.deviation, min(missed, _PRIOR_VARIANCE))

    def draws(self, n: int, rng: np.random.Generator) -> Floats:
        """Return draws of the weights from their posterior, shape (n_features, n)."""
        return self.mean[:, None] + self.root @ rng.standard_normal((self.n_features, n))

    def _prior_variances(self) -> Floats:
        widths = np.diff(self._edges)
        return np.concatenate([[_PRIOR_LEVEL], np.repeat(self.group_variances, widths)])

    def _solve(self, x: Floats, y: Floats, s: Floats, k: Floats) -> None:
        w = 1.0 / (self.deviation * k + s)
        precision = (x * w[:, None]).T @ x
        precision[np.diag_indices(self.n_features)] += 1.0 / self._prior_variances()
        self.root = np.linalg.inv(np.linalg.cholesky(precision)).T
        self.mean = self.root @ (self.root.T @ (x.T @ (w * y)))
        self.mean[0] += 0.5

    def _update_variances(self, x: Floats, y: Floats, s: Floats, k: Floats) -> None:
        weights = self.mean.copy()
        weights[0] -= 0.5
        diagonal = np.einsum("ij,ij->i", self.root, self.root)
        total = float(self.deviation + self.group_variances.sum())
        starts = self._edges[:-1]
        if len(starts) > 0:
            widths = np.diff(self._edges)
            moments = np.add.reduceat(weights**2, starts)
            bound = widths - np.add.reduceat(diagonal, starts) / self.group_variances
            prior = _PRIOR_GROUP * self._shares * total
            self.group_variances = np.clip(
                (prior + moments) / (_PRIOR_GROUP + np.maximum(bound, 0.0)), 1e-7, 4 * _PRIOR_VARIANCE
            )
        own = self.deviation * k
        kept = own / (own + s)
        spread = x @ self.root
        model = np.einsum("ij,ij->i", spread, spread)
        squares = float(((kept * (y - x @ weights)) ** 2 / k).sum())
        freedom = max(float((kept - kept**2 * model / own).sum()), 0.0)
        floor = _PRIOR_DEVIATION * _FIRST_DEVIATION * total
        self.deviation = max((floor + squares) / (_PRIOR_DEVIATION + freedom), 1e-7)
