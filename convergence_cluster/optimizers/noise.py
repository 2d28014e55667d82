"""How much scores scatter: between cases of one arm, between repeats of one cell, and how much of it the case explains.

Nothing is assumed: a pilot's worth of prior gives way to the data within a few dozen calls.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.search import KnownCase

Floats = NDArray[np.float64]

MIN_SHRINKAGE = 4.0
MAX_SHRINKAGE = 60.0
MIN_FREEDOM = 3.0
MIN_ARMS = 6
_LEAST = 0.01
_LEAST_COIN = 0.25
"""Least part of a coin's variance that is taken for noise, however much of it the arms' differences may be."""
_PRIOR_FREEDOM = 1.0
_PRIOR_REPEATS = 2.0
_LARGEST_CHANGE = 0.5
"""Squared deviation of a repeat from its cell's mean where a coin falls on the other side."""
_PRIOR_EFFECT = 0.02
MAX_EDGE = 0.03
"""No mean is taken to be nearer to 0 or 1 than this without calls to prove it."""
NEGLIGIBLE = 0.02
"""Case effects of less than this part of the noise are not worth their own error."""
PSEUDO_KNOWN = 4.0
"""Arms' worth of belief that a case of an earlier study is like the others."""
SAME_PRECISION = 4.0
"""Of the belief that cases add to scores what they added in earlier studies: give or take a half of it."""
SIGNIFICANT = 2.0
"""Standard errors by which the variance between cases must exceed chance before case effects are believed."""


class Noise:
    """Variance of one call around its arm's mean: `flat + curved * f * (1 - f)` for a mean f, then each arm's own.

    Scores live in [0, 1], so the second term is the variance of a coin (binary scores), the first that of a
    measurement error.
    """

    def __init__(self, *, can_repeat: bool) -> None:
        self.flat = 0.0
        self.curved = 1.0
        self.shrinkage = 6.0
        """Pseudo degrees of freedom with which an arm's own variance is drawn towards what its mean suggests."""
        self._within = 0.5 * _PRIOR_REPEATS
        self._expected = _PRIOR_REPEATS
        self._can_repeat = can_repeat
        self.most = 1.0
        """The variance is at most this part of a coin's: 1 where scores are 0 or 1, less where they lie between."""
        self._widest = 1.0
        """The same as it was found."""

    @property
    def share_within(self) -> float:
        """The part of a call's variance that comes anew with each repeat of the same cell, in [0, 1]."""
        return min(self._within / self._expected, 1.0) if self._can_repeat else 0.0

    def tell_repeat(self, squares: float, variance: float) -> None:
        """Take in the squared deviation of one repeat, and the variance that a fresh case would have had."""
        self._within += squares / max(variance, 1e-9)
        self._expected += 1.0

    def fit_repeats(self, squares: Floats, repeats: Floats, variances: Floats) -> None:
        """Fit the share of repeats anew from each arm's squared deviations, repeats and variance of a call.

        Where scores are 0 or 1 most repeats change nothing and one in many much: that many say as little as one does
        elsewhere.
        """
        typical = float(variances @ repeats) / max(float(repeats.sum()), 1.0)
        if typical > 0.0:
            prior = _PRIOR_REPEATS * max(_LARGEST_CHANGE * self._widest / typical, 1.0)
            self._within = 0.5 * prior + float(squares.sum()) / typical
            self._expected = prior + float(repeats.sum())

    def expected(self, counts: Floats, means: Floats, spreads: Floats | float = 0.0) -> Floats:
        """Return the variance that calls of arms of these means are expected to have.

        A mean near 0 or 1 is believed only as far as so many calls can tell.
        """
        coin = _coin(counts, means)
        coin = np.maximum(coin - spreads, _LEAST_COIN * coin)
        return np.maximum(np.minimum(self.flat + self.curved * coin, self.most * coin), 1e-9)

    def variances(self, counts: Floats, squares: Floats, means: Floats, spreads: Floats | float = 0.0) -> Floats:
        """Return each arm's shrunk variance from its cells' sum of squared deviations and its believed mean."""
        free, trust = np.maximum(counts - 1.0, 0.0), self._trust(_coin(counts, means))
        expected = self.expected(counts, means, spreads)
        return (self.shrinkage * expected + trust * squares) / (self.shrinkage + trust * free)

    def _trust(self, coin: Floats) -> Floats:
        """Return what a degree of freedom of an arm's own scatter says of its variance, as a part of a normal's.

        A coin that nearly always falls on one side mostly shows no scatter at all, and that proves none: the variance
        of its sample variance is 1 / (f (1 - f)) - 4 times the squared variance over the calls, a normal's is 2 times.
        """
        return np.asarray(1.0 / (1.0 + 0.5 * self.most * np.maximum(1.0 / coin - 6.0, 0.0)))

    def bound(self, between: float, coins: float) -> None:
        """Take in the sum of y (1 - y) over all calls, and that of f (1 - f) for their arms' believed means f.

        The variance of a score y in [0, 1] is f (1 - f) less the mean of y (1 - y). Unlike the scatter within arms
        this holds however it was decided how often to call each.
        """
        self._widest = min(max(1.0 - between / max(coins, 1e-9), 0.0), 1.0)
        self.most = max(self._widest, _LEAST)

    def fit(self, counts: Floats, squares: Floats, means: Floats) -> None:
        """Fit both terms by weighted least squares, and how far arms' variances differ beyond chance."""
        free = np.maximum(counts - 1.0, 0.0)
        coin = _coin(counts, means)
        x = np.append(coin, 0.25)
        y = np.append(squares / np.maximum(free, 1.0), 0.25)
        self.flat, self.curved = _line(x, y, np.append(free, _PRIOR_FREEDOM))
        known = free >= MIN_FREEDOM
        if known.sum() < MIN_ARMS:
            return
        ratio = squares[known] / free[known] / self.expected(counts[known], means[known])
        said = free[known] * self._trust(coin[known])
        excess = float((said * (ratio - 1.0) ** 2 - 2.0).sum() / said.sum())
        self.shrinkage = min(max(2.0 / max(excess, 1e-9), MIN_SHRINKAGE), MAX_SHRINKAGE)


class CaseEffects:
    """What each case adds to every arm's score: a random effect, shrunk towards none.

    Or towards what earlier studies found, by as much of it as this study's scores show again.
    """

    def __init__(self, weights: Floats, known: Sequence[KnownCase] = ()) -> None:
        n_cases = len(weights)
        self._weights = weights / weights.sum()
        self._known = np.zeros(n_cases)
        for case in known:
            self._known[case.case] = case.effect * case.n_arms / (case.n_arms + PSEUDO_KNOWN)
        self._known -= self._known.mean()
        self.values = np.zeros(n_cases)
        self.variance = 0.0
        self._possible = _PRIOR_EFFECT
        """What the variance may be where nothing is significant: one standard error of it."""
        self._seen = 1.0
        self._left = 1.0
        """The variance that the cases seen leave in a mean over all, as a part of that between cases."""
        self.variances = np.zeros(n_cases)
        """How uncertain each effect is."""

    def fit(self, cases: NDArray[np.int64], rests: Floats, n_arms: int, alike: Floats | float = 0.0) -> None:
        """Fit to the cells' deviations from what their arms are believed to score; no effect unless it is significant.

        Beliefs, not the arms' own means: those of arms that were called on for their luck on the first cases would make
        the first cases look easy. The strength is that of a one-way analysis of variance. `alike`: the variance of each
        case's mean that its arms have in common for being alike, shape (n_cases,); they say less of the case.
        """
        n_cases = len(self.values)
        expected = self._seen_again(cases, rests)
        rests = rests - expected[cases]
        counts = np.bincount(cases, minlength=n_cases).astype(float)
        sums = np.bincount(cases, weights=rests - rests.mean(), minlength=n_cases)
        seen = int((counts > 0).sum())
        free = len(rests) - seen - n_arms + 1
        self._seen, self._left = float(max(seen, 1)), self._left_by(counts > 0)
        if seen < 2 or free < 4:  # noqa: PLR2004  nothing to tell case from noise by
            return
        between = float((sums[counts > 0] ** 2 / counts[counts > 0]).sum())
        error = max(float(((rests - rests.mean()) ** 2).sum()) - between, 0.0) / free
        spread = (len(rests) - float((counts**2).sum()) / len(rests)) / (seen - 1)
        nothing = error + float((counts * (1.0 - counts / len(rests))) @ np.broadcast_to(alike, n_cases)) / (seen - 1)
        self.variance = max((between / (seen - 1) - nothing) / max(spread, 1e-9), 0.0)
        self._possible = max(self.variance, nothing * (2.0 / (seen - 1)) ** 0.5 / max(spread, 1e-9))
        chance = nothing * (1.0 + SIGNIFICANT * (2.0 / (seen - 1)) ** 0.5)
        if between / (seen - 1) <= chance or self.variance < NEGLIGIBLE * error:
            self.variance = 0.0
            self.values, self.variances = self._centred(expected), np.zeros(n_cases)
            return
        of_mean = alike + max(error, 1e-9) / np.maximum(counts, 1.0)
        kept = (counts > 0) * self.variance / (self.variance + of_mean)
        self.values = kept * sums / np.maximum(counts, 1.0)
        self.values -= (counts > 0) * float(kept @ self.values) / float(kept.sum())
        self.values = self._centred(self.values + expected)
        self.variances = self.variance * (1.0 - kept)

    def _centred(self, values: Floats) -> Floats:
        """Return effects that add nothing to an arm that has seen every case."""
        return np.asarray(values - self._weights @ values)

    def _seen_again(self, cases: NDArray[np.int64], rests: Floats) -> Floats:
        """Return as much of the known effects as the scores follow, all before there are any, shape (n_cases,)."""
        x = self._known[cases]
        noise = max(float(rests.var()), 1e-12)
        along, size = float(x @ (rests - rests.mean())) / noise, float(((x - x.mean()) ** 2).sum()) / noise
        share = (along + SAME_PRECISION) / (size + SAME_PRECISION)
        return min(max(share, 0.0), 1.0) * self._known

    def level_variance(self) -> float:
        """Return the variance that the cases not yet seen leave in every arm's mean alike."""
        known = self._seen
        if self.variance > 0.0:
            known = float((1.0 - self.variances / self.variance).sum())
        return self._possible * self._left * self._seen / max(known, 1.0)

    def _left_by(self, is_seen: NDArray[np.bool_]) -> float:
        """Return the variance that these cases leave in a mean over all; see Cochran 1977, section 2.6."""
        shares = self._weights[is_seen]
        whole = float(shares.sum())
        of_seen = (1.0 - whole) ** 2 * float((shares**2).sum()) / max(whole, 1e-12) ** 2
        return of_seen + float((self._weights[~is_seen] ** 2).sum())


def _coin(counts: Floats, means: Floats) -> Floats:
    """Return the variance of coins of these means, none nearer to 0 or 1 than so many calls can tell."""
    edge = np.minimum(0.5 / (counts + 2.0), MAX_EDGE)
    inside = np.clip(means, edge, 1.0 - edge)
    return np.asarray(inside * (1.0 - inside))


def _line(x: Floats, y: Floats, weights: Floats) -> tuple[float, float]:
    w, wx, wy = float(weights.sum()), float(weights @ x), float(weights @ y)
    wxx, wxy = float(weights @ (x * x)), float(weights @ (x * y))
    det = w * wxx - wx * wx
    if det > 1e-9 * max(w * wxx, 1e-12):
        slope = (w * wxy - wx * wy) / det
        flat = (wy - slope * wx) / w
        if slope >= 0.0 and flat >= 0.0:
            return flat, slope
    only_flat, only_slope = wy / w, wxy / max(wxx, 1e-12)
    miss_flat = float(weights @ (y - only_flat) ** 2)
    miss_slope = float(weights @ (y - only_slope * x) ** 2)
    return (only_flat, 0.0) if miss_flat < miss_slope else (0.0, max(only_slope, 0.0))
