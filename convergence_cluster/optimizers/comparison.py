"""This study's scores against those of an earlier one: case by case where both called an arm, else by its mean.

The first cases may be kind or unkind to some arms. What an earlier study says of an arm is about all its cases; the
comparison on the same cases is free of that.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.search import KnownArm
from convergence_cluster.optimizers.evidence import Evidence

Floats = NDArray[np.float64]

_PSEUDO_CELLS = 2.0
_FIRST_CHANGE = 0.5
"""Of a call's variance, the part by which a cell's score is expected to change, before any was seen again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surprises:
    """By how much arms score more than earlier studies say, shape (n_arms,) each; 0 and inf where nothing is known."""

    rests: Floats
    errors: Floats
    """Variance of that, with no doubt about what earlier studies say."""
    paired: Floats
    """The part of an arm's cases on which it is compared case by case."""

    def only(self, kept: NDArray[np.bool_]) -> "Surprises":
        """Return them for some of the arms."""
        return Surprises(rests=self.rests[kept], errors=self.errors[kept], paired=self.paired[kept])


class Comparison:
    """The scores of earlier studies on single cases of this study."""

    def __init__(self, known: Sequence[KnownArm], n_cases: int) -> None:
        self._cells = np.full((len(known) + 1, n_cases if known else 0), np.nan)
        for place, arm in enumerate(known):
            for case, score in arm.cases:
                self._cells[place, case] = score

    def surprises(
        self, places: NDArray[np.int64], told: Floats, evidence: Evidence, errors: Floats, call_variances: Floats
    ) -> Surprises:
        """Compare all arms, of which the last ones of `places` (-1: not measured) and `told` means are known.

        `errors` are the variances of the arms' own means, `call_variances` those of their calls.
        """
        arm, case, score, rest = evidence.cells()
        counts = np.maximum(evidence.counts, 1.0)
        n = len(places)
        again = self._cells[places[arm], case]
        is_paired = ~np.isnan(again)
        change = np.where(is_paired, score - again, rest - told[arm])
        rests = np.bincount(arm, weights=change, minlength=n) / counts
        both = np.bincount(arm[is_paired], minlength=n).astype(float)
        squares = change[is_paired] ** 2
        centre = np.bincount(arm[is_paired], weights=change[is_paired], minlength=n)
        spread = float(squares.sum() - (centre**2 / np.maximum(both, 1.0)).sum())
        free = float(np.maximum(both - 1.0, 0.0).sum())
        first = _FIRST_CHANGE * float(call_variances.mean())
        varied = (_PSEUDO_CELLS * first + spread) / (_PSEUDO_CELLS + free)
        paired = both / counts
        unpaired = np.where(paired < 1.0, (1.0 - paired) * errors, 0.0)
        return Surprises(rests=rests, errors=paired * varied / counts + unpaired, paired=paired)
