"""How far arms lie from what the model says of them: most a little, some far.

A normal mixture of two parts, fitted to the arms seen so far. The wide part is what makes a search try what the model
thinks little of, and believe a surprising first block.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_PSEUDO_ARMS = 10.0
"""Arms' worth of belief in the first guess of the wide part's share."""
_FIRST_SHARE = 0.1
_FIRST_RATIO = 9.0
"""First guess of the wide part's variance over the narrow one's."""
_MIN_RATIO = 4.0
_ROUNDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """A normal mixture per arm, shape (2, n) each: the narrow part first."""

    shares: Floats
    means: Floats
    variances: Floats

    def moments(self) -> tuple[Floats, Floats]:
        """Return mean and variance of each arm's mixture."""
        mean = (self.shares * self.means).sum(axis=0)
        return mean, (self.shares * (self.variances + (self.means - mean) ** 2)).sum(axis=0)


class Deviations:
    """The mixture: shares, offsets and variances of both parts."""

    def __init__(self, variance: float) -> None:
        self.shares = np.array([1 - _FIRST_SHARE, _FIRST_SHARE])
        self.offsets = np.zeros(2)
        self.variances = variance * np.array([1.0, _FIRST_RATIO])

    def fit(self, surprises: Floats, spreads: Floats, variance: float) -> None:
        """Fit to observed less expected means with the variances of their errors, near the model's one variance."""
        if len(surprises) == 0:
            return
        self.shares = np.array([1 - _FIRST_SHARE, _FIRST_SHARE])
        self.variances = variance * np.array([0.7, 0.7 * _FIRST_RATIO])
        for _ in range(_ROUNDS):
            total = self.variances[:, None] + spreads
            rest = surprises - self.offsets[:, None]
            weight = self.shares[:, None] * _density(rest, total)
            weight /= np.maximum(weight.sum(axis=0), 1e-300)
            kept = self.variances[:, None] / total
            moved = self.offsets[:, None] + kept * rest
            count = weight.sum(axis=1)
            first = np.array([1 - _FIRST_SHARE, _FIRST_SHARE]) * _PSEUDO_ARMS
            self.shares = (count + first) / (count + first).sum()
            self.offsets = np.array([0.0, float((weight[1] * moved[1]).sum() / (count[1] + _PSEUDO_ARMS))])
            inside = (moved - self.offsets[:, None]) ** 2 + self.variances[:, None] * (1 - kept)
            squares = (weight * inside).sum(axis=1)
            guess = variance * np.array([0.7, 0.7 * _FIRST_RATIO])
            self.variances = np.maximum((squares + 2.0 * guess) / (count + 2.0), 1e-7)
            self.variances[1] = max(self.variances[1], _MIN_RATIO * self.variances[0])

    def prior(self, means: Floats, variances: Floats) -> Parts:
        """Return what is expected of arms of which the model's weights say so much."""
        n = len(means)
        return Parts(
            shares=np.repeat(self.shares[:, None], n, axis=1),
            means=means + self.offsets[:, None],
            variances=variances + self.variances[:, None],
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
