"""How much more or less arms of one level of a parameter deviate from the model than those of another.

A weak model fails everywhere in the same way, a capricious one does well with one prompt and badly with the next. The
parameter whose levels differ most in that gets a factor per level; none does where the differences may be chance.
"""

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.genome import Codec, Rows

Floats = NDArray[np.float64]

MAX_LEVELS = 64
PSEUDO_ARMS = 4.0
"""Arms' worth of belief that a level is like the others."""
MIN_ARMS = 24
_ROUNDS = 4
_DOUBT = 3
"""Units of log likelihood, beside one per level, that a parameter has to explain: the best of several is chosen."""
_LIMITS = (0.05, 20.0)
_CLIP = 9.0
"""Squared standard deviations beyond which a surprise says no more."""


class Scatter:
    """Factors on the variance of arms' own deviations, by the level of one parameter."""

    def __init__(self, codec: Codec) -> None:
        self._widths = {
            j: len(gene.levels)
            for j, gene in enumerate(codec.genes)
            if gene.levels is not None and 1 < len(gene.levels) <= MAX_LEVELS
        }
        self._gene: int | None = None
        self._factors = np.ones(1)

    def __call__(self, rows: Rows) -> Floats:
        """Return the factor of each row, shape (n,)."""
        if self._gene is None:
            return np.ones(len(rows))
        column = rows[:, self._gene]
        factors: Floats = np.where(np.isnan(column), 1.0, self._factors[np.nan_to_num(column).astype(int)])
        return factors

    def fit(self, rows: Rows, surprises: Floats, spreads: Floats, near: float, weights: Floats) -> None:
        """Fit to observed less expected means, the variances that they would have without deviations, and a weight."""
        self._gene, self._factors = None, np.ones(1)
        if len(surprises) < MIN_ARMS:
            return
        base = _fit_of(surprises, spreads + near, weights)
        most = 0.0
        for j, width in self._widths.items():
            column = rows[:, j]
            here = np.where(np.isnan(column), width, column).astype(int)
            factors = _factors(here, width + 1, surprises**2, spreads, near, weights)
            gain = _fit_of(surprises, spreads + near * factors[here], weights) - base
            used = int((np.bincount(here, minlength=width + 1) > 0).sum()) + _DOUBT
            if gain - used > most:
                most, self._gene, self._factors = gain - used, j, factors[:width]


def _factors(  # noqa: PLR0917  one caller
    here: NDArray[np.int64], width: int, squares: Floats, spreads: Floats, near: float, weights: Floats
) -> Floats:
    factors = np.ones(width)
    for _ in range(_ROUNDS):
        own = near * factors[here]
        kept = weights * own / (own + spreads)
        ratio = np.minimum(squares / (own + spreads), _CLIP)
        total = np.bincount(here, weights=kept, minlength=width)
        seen = np.bincount(here, weights=kept * ratio, minlength=width) * factors
        factors = np.clip((PSEUDO_ARMS + seen) / (PSEUDO_ARMS + total), *_LIMITS)
    return factors


def _fit_of(surprises: Floats, variances: Floats, weights: Floats) -> float:
    ratio = np.minimum(surprises**2 / variances, _CLIP)
    return float(-0.5 * (weights * (np.log(variances) + ratio)).sum())
