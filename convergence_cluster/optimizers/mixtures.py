"""Beliefs about arms as mixtures of four normals, and about many arms that nobody looks at one by one."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

N_PARTS = 4
_NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """A normal mixture per arm, shape (4, n) each.

    Near the model, lost among the others, anywhere at all, and as earlier studies found it.
    """

    shares: Floats
    means: Floats
    variances: Floats

    def moments(self) -> tuple[Floats, Floats]:
        """Return mean and variance of each arm's mixture."""
        mean = (self.shares * self.means).sum(axis=0)
        return mean, (self.shares * (self.variances + (self.means - mean) ** 2)).sum(axis=0)

    def only(self, arms: NDArray[np.int64]) -> "Parts":
        """Return the mixtures of some of the arms."""
        return Parts(shares=self.shares[:, arms], means=self.means[:, arms], variances=self.variances[:, arms])


@dataclass(frozen=True, kw_only=True, slots=True)
class Elsewhere:
    """Arms of which only the odd ones matter: so many, each odd with the same chance, and what an odd one scores."""

    count: int
    share: float
    mean: float
    variance: float

    def best(self, n: int, rng: np.random.Generator) -> Floats:
        """Return n draws of the best odd one, -1 where none is odd."""
        n_odd = rng.binomial(self.count, self.share, size=n)
        uniform = rng.random(n)
        top = [_NORMAL.inv_cdf(max(u, 1e-12) ** (1.0 / k)) if k else 0.0 for u, k in zip(uniform, n_odd, strict=True)]
        return np.where(n_odd > 0, self.mean + self.variance**0.5 * np.array(top), -1.0)

    def parts(self) -> Parts:
        """Return one of them, taken to be odd."""
        return Parts(
            shares=np.array([[0.0], [0.0], [1.0], [0.0]]),
            means=np.full((N_PARTS, 1), self.mean),
            variances=np.full((N_PARTS, 1), self.variance),
        )

    def chance_above(self, bars: Floats) -> Floats:
        """Return the chance that any of them exceeds each bar, shape (n_bars,)."""
        one = self.share * chance_above(self.parts(), bars)[:, 0]
        return np.asarray(1.0 - (1.0 - one) ** self.count)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampled:
    """Many arms of which a few, drawn at random, stand for all: each for so many."""

    each: float
    sample: Parts

    def chance_above(self, bars: Floats) -> Floats:
        """Return the chance that any of them exceeds each bar, shape (n_bars,)."""
        beaten = np.minimum(chance_above(self.sample, bars), 1.0 - 1e-12)
        return np.asarray(1.0 - np.exp(self.each * np.log1p(-beaten).sum(axis=1)))


class Unlooked(Protocol):
    """Arms that nobody looks at one by one."""

    def chance_above(self, bars: Floats) -> Floats:
        """Return the chance that any of them exceeds each bar, shape (n_bars,)."""
        ...


def posterior(prior: Parts, means: Floats, errors: Floats) -> Parts:
    """Return the mixtures after arms' means were seen whose errors have these variances, shape (4, n)."""
    total = prior.variances + errors
    kept = prior.variances / total
    weight = prior.shares * _density(means - prior.means, total)
    weight /= np.maximum(weight.sum(axis=0), 1e-300)
    return Parts(shares=weight, means=prior.means + kept * (means - prior.means), variances=kept * errors)


def log_density(parts: Parts, means: Floats, errors: Floats) -> Floats:
    """Return the logarithm of each mixture's density at an arm's mean whose error has this variance, shape (n,)."""
    total = parts.variances + errors
    return np.asarray(np.log(np.maximum((parts.shares * _density(means - parts.means, total)).sum(axis=0), 1e-300)))


def joined(left: Parts, right: Parts) -> Parts:
    """Return the mixtures of two sets of arms, one after the other."""
    return Parts(
        shares=np.concatenate([left.shares, right.shares], axis=1),
        means=np.concatenate([left.means, right.means], axis=1),
        variances=np.concatenate([left.variances, right.variances], axis=1),
    )


def chance_above(parts: Parts, bars: Floats) -> Floats:
    """Return each arm's chance to exceed each bar, shape (n_bars, n_arms). What a normal puts above 1 lies below."""
    total = np.zeros((len(bars), parts.means.shape[1]))
    for share, mean, variance in zip(parts.shares, parts.means, parts.variances, strict=True):
        deviation = np.sqrt(np.maximum(variance, 1e-18))
        part = normal_above((bars[:, None] - mean) / deviation) - normal_above((2.0 - bars[:, None] - mean) / deviation)
        total += share * np.maximum(part, 0.0)
    return np.where(bars[:, None] >= 1.0, 0.0, total)


def p_within(mine: Parts, rivals: Parts, elsewhere: Unlooked, within: float) -> float:
    """Return P(one arm >= (1 - within) * the best of all), all independent; `mine` is that one arm.

    Averages over quantiles of the arm's score the chance that no rival exceeds it by the margin.
    """
    mean, variance = mine.moments()
    bars = np.clip(mean[0] + variance[0] ** 0.5 * _QUANTILES, 0.0, 1.0) / max(1.0 - within, 1e-9)
    beaten = np.minimum(chance_above(rivals, bars), 1.0 - 1e-12)
    none = np.exp(np.log1p(-beaten).sum(axis=1)) * (1.0 - elsewhere.chance_above(bars))
    return float(none.mean())


def normal_above(x: Floats) -> Floats:
    """Return the chance of a standard normal to exceed x. Source: Abramowitz & Stegun 1964, 26.2.17."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail = np.exp(-0.5 * np.minimum(x * x, 1400.0)) / (2.0 * np.pi) ** 0.5 * series
    return np.asarray(np.where(x >= 0.0, tail, 1.0 - tail))


def _density(rest: Floats, variance: Floats) -> Floats:
    density: Floats = np.exp(-0.5 * np.minimum(rest**2 / variance, 1400.0)) / np.sqrt(variance)
    return density


_QUANTILES = np.array([_NORMAL.inv_cdf((k + 0.5) / 32) for k in range(32)])
