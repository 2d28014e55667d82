"""How much further apart arms lie on one case than on another: a random slope for each case, shrunk towards none.

Large pictures tell two encoders further apart than small ones do, hard questions tell models further apart than easy
ones. Where that is so, what a few cases say of the arms is in the right order and only drawn out or pressed together,
and what looks like noise is none. Source: Mandel 1961, "Non-additivity in two-way analysis of variance" (a bundle of
straight lines).
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIGNIFICANT = 3.0
"""Standard errors by which the variance between slopes must exceed chance before slopes are believed."""
NEGLIGIBLE = 0.2
"""Slopes that explain less than this part of the noise are not worth their own error."""
COMMON = 0.6
"""Least part of what slopes explain that arms must have in common. Where one arm is believed to lie far from all
others, a line through each of its scores explains them all, and its own noise with them."""
MAX_VARIANCE = 1.0
_MOST = 3.0
"""Standard deviations of the slopes that one may have: where beliefs hardly differ, an odd score would make it wild."""
_MIN_FREEDOM = 4


class CaseSlopes:
    """By what part each case draws out the differences between arms; 0 on average over all cases."""

    def __init__(self, weights: Floats) -> None:
        self._weights = weights / weights.sum()
        self.level = 0.0
        """The score at which slopes change nothing."""
        self._forget()

    def fit(self, cases: NDArray[np.int64], rests: Floats, centres: Floats, n_arms: int) -> None:
        """Fit to cells' deviations `rests` from what their arms are believed to score, shape (n_cells,) each.

        No slope unless their variance clearly exceeds what parallel lines would show by chance, and most of what they
        explain lies in products of two arms' deviations, to which no arm's own noise adds. What all cases have in
        common is no slope: beliefs are drawn towards each other, and every case says so.
        """
        self._forget()
        self.level = float(centres.mean())
        n = len(self._weights)
        counts = np.bincount(cases, minlength=n).astype(float)
        x, y = _within(centres, cases, counts), _within(rests, cases, counts)
        sxx = np.bincount(cases, weights=x * x, minlength=n)
        able = (counts > 1) & (sxx > 1e-12)  # noqa: PLR2004  a line takes two points
        n_able, whole = int(able.sum()), float(sxx.sum())
        free = len(cases) - int((counts > 0).sum()) - n_able - n_arms + 2
        if n_able < 2 or free < _MIN_FREEDOM:  # noqa: PLR2004  nothing to tell slopes from noise by
            return
        y -= x * float(x @ y) / whole
        sxy = np.bincount(cases, weights=x * y, minlength=n)
        squares = float((sxy[able] ** 2 / sxx[able]).sum())
        alone = np.bincount(cases, weights=(x * y) ** 2, minlength=n)
        if squares - float((alone[able] / sxx[able]).sum()) < COMMON * squares:
            return
        error = max(float(y @ y) - squares, 0.0) / free
        between = squares / (n_able - 1)
        spread = (whole - float(sxx @ sxx) / whole) / (n_able - 1)
        variance = min(max((between - error) / max(spread, 1e-12), 0.0), MAX_VARIANCE)
        chance = error * (1.0 + SIGNIFICANT * (2.0 / (n_able - 1)) ** 0.5)
        if between <= chance or variance * whole / len(cases) <= NEGLIGIBLE * error:
            return
        ratio = max(error, 1e-9) / variance
        kept = sxx / (sxx + ratio)
        most = _MOST * variance**0.5
        self.values = np.clip(sxy / (sxx + ratio), -most, most)
        self.values -= self._weights @ self.values
        self._variance, self._known, self._unseen = variance, float(kept.sum()), 1.0 - n_able / n
        self.variances = variance * (1.0 - kept)

    def offset(self, cases: NDArray[np.int64] | int, centres: Floats | float) -> Floats:
        """Return what the cases add to the scores of arms that are believed to score so much."""
        return np.asarray(self.values[cases] * (centres - self.level))

    def spread(self, cases: NDArray[np.int64], centres: Floats) -> Floats:
        """Return how uncertain `offset` is, as a variance."""
        return np.asarray(self.variances[cases] * (centres - self.level) ** 2)

    def level_variances(self, centres: Floats) -> Floats:
        """Return the variance that the cases not yet seen leave in the means of arms alike, shape (n_arms,)."""
        return np.asarray(self._variance * self._unseen / max(self._known, 1.0) * (centres - self.level) ** 2)

    def _forget(self) -> None:
        self.values = np.zeros(len(self._weights))
        self.variances = np.zeros(len(self._weights))
        """How uncertain each slope is."""
        self._variance = 0.0
        self._known = 0.0
        self._unseen = 1.0


def _within(values: Floats, cases: NDArray[np.int64], counts: Floats) -> Floats:
    means = np.bincount(cases, weights=values, minlength=len(counts)) / np.maximum(counts, 1.0)
    return np.asarray(values - means[cases])
