"""How far arms lie from what the model says of them: most a little, some anywhere.

A normal mixture of two parts. The second, of arms of which the model knows nothing, is what makes a search try what
the model thinks little of, and believe a surprising first block.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.surrogate import Prior

Floats = NDArray[np.float64]

PSEUDO_ARMS = 10.0
"""Arms' worth of belief in the first guess of the share of lost arms."""
FIRST_SHARE = 0.1
_FIRST_CENTRE = 0.5
_FIRST_SPREAD = 0.06
_ROUNDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """A normal mixture per arm, shape (2, n) each: the part near the model first."""

    shares: Floats
    means: Floats
    variances: Floats

    def moments(self) -> tuple[Floats, Floats]:
        """Return mean and variance of each arm's mixture."""
        mean = (self.shares * self.means).sum(axis=0)
        return mean, (self.shares * (self.variances + (self.means - mean) ** 2)).sum(axis=0)


class Deviations:
    """The mixture: arms near what the model says, and lost ones that may lie wherever any arm lies."""

    def __init__(self, variance: float) -> None:
        self.lost = FIRST_SHARE
        """The share of arms of which the model knows nothing."""
        self.near = variance
        """Variance of the other arms around what the model says."""
        self.centre = _FIRST_CENTRE
        self.spread = _FIRST_SPREAD

    def fit(self, means: Floats, errors: Floats, prior: Prior, variance: float, everywhere: Floats) -> None:
        """Fit to arms' means and the variances of their errors, to what the weights say, and to the deviation.

        `everywhere` is what the weights say of all configurations, for the opened arms are the promising ones.
        """
        if len(means) == 0:
            return
        weights = 1.0 / (_FIRST_SPREAD + errors)
        self.centre = float((weights @ means + _FIRST_CENTRE / _FIRST_SPREAD) / (weights.sum() + 1.0 / _FIRST_SPREAD))
        excess = float((weights**2) @ ((means - self.centre) ** 2 - errors) + 2.0 / _FIRST_SPREAD)
        self.spread = max(excess / float((weights**2).sum() + 2.0 / _FIRST_SPREAD**2), variance)
        if len(everywhere) > 0:
            self.centre = float(everywhere.mean())
            self.spread = max(self.spread, float(everywhere.var()) + variance)
        self.near, self.lost = variance, FIRST_SHARE
        for _ in range(_ROUNDS):
            parts = self.prior(prior.means, prior.variances)
            weight = posterior(parts, means, np.broadcast_to(errors, parts.means.shape)).shares[1]
            self.lost = (float(weight.sum()) + PSEUDO_ARMS * FIRST_SHARE) / (len(means) + PSEUDO_ARMS)

    def prior(self, means: Floats, variances: Floats) -> Parts:
        """Return what is expected of arms of which the model's weights say so much."""
        n = len(means)
        return Parts(
            shares=np.array([np.full(n, 1.0 - self.lost), np.full(n, self.lost)]),
            means=np.array([means, np.full(n, self.centre)]),
            variances=np.array([variances + self.near, np.full(n, self.spread)]),
        )


def posterior(prior: Parts, means: Floats, errors: Floats) -> Parts:
    """Return the mixtures after arms' means were seen whose errors have these variances, shape (2, n)."""
    total = prior.variances + errors
    kept = prior.variances / total
    weight = prior.shares * _density(means - prior.means, total)
    weight /= np.maximum(weight.sum(axis=0), 1e-300)
    return Parts(shares=weight, means=prior.means + kept * (means - prior.means), variances=kept * errors)


def joined(left: Parts, right: Parts) -> Parts:
    """Return the mixtures of two sets of arms, one after the other."""
    return Parts(
        shares=np.concatenate([left.shares, right.shares], axis=1),
        means=np.concatenate([left.means, right.means], axis=1),
        variances=np.concatenate([left.variances, right.variances], axis=1),
    )


def _density(rest: Floats, variance: Floats) -> Floats:
    density: Floats = np.exp(-0.5 * np.minimum(rest**2 / variance, 1400.0)) / np.sqrt(variance)
    return density
