"""What arms that share a parameter's value have in common on single cases, beyond what the case does to all.

All arms see the same first cases. If one model happens to fail on those, every arm of that model looks bad, and
averaging over the arms does not help: only further cases do. The variance measured here says how far the weights can
be trusted for that reason.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.evidence import Evidence

Floats = NDArray[np.float64]

N_CASES = 12
"""How many of the cases that most arms have seen are looked at."""
MAX_WIDTH = 40
SIGNIFICANT = 3.0
MIN_ARMS = 8


class Interplay:
    """The group of features whose effect differs most from case to case, and the variance of that."""

    def __init__(self, slices: Sequence[slice], n_cases: int) -> None:
        self._slices = [part for part in slices if part.stop - part.start <= MAX_WIDTH]
        self._n_cases = n_cases
        self._part: slice | None = None
        self._variance = 0.0
        self._counts = np.zeros(0)
        self._arms = np.zeros(0)

    def fit(self, features: Floats, evidence: Evidence, centres: Floats) -> None:
        """Measure, in every group, how alike the residuals of alike arms are on the same case."""
        self._part = None
        rests, seen = evidence.residuals(centres, N_CASES)
        if len(centres) < MIN_ARMS or rests.shape[1] == 0:
            return
        squares = (rests**2).sum() / max(seen.sum(), 1.0)
        found = 0.0
        for part in self._slices:
            x = features[:, part]
            own = (x**2).sum(axis=1)
            moment = float(((x.T @ rests) ** 2).sum() - (own[:, None] * rests**2).sum())
            products = np.einsum("ni,nj->nij", x, x).reshape(len(x), -1)
            weight = float(((products.T @ seen) ** 2).sum() - (own[:, None] ** 2 * seen).sum())
            if weight <= 0.0 or moment <= SIGNIFICANT * squares * (2.0 * weight) ** 0.5:
                continue
            typical = float((own * evidence.counts).sum() / max(float(evidence.counts.sum()), 1.0))
            if moment / weight * typical > found:
                found = moment / weight * typical
                self._part, self._variance = part, moment / weight
        if self._part is not None:
            self._counts = features[:, self._part].T @ evidence.counts
            self._arms = features[:, self._part].sum(axis=0)

    def variance(self, features: Floats) -> Floats:
        """Return what to add to the variance of what the weights say of arms, shape (n,)."""
        if self._part is None:
            return np.zeros(len(features))
        x = features[:, self._part]
        alike = x @ self._arms
        seen = np.where(alike > 0.0, (x @ self._counts) / np.where(alike > 0.0, alike, 1.0), 1.0)
        added: Floats = self._variance * (x**2).sum(axis=1) * np.maximum(1 / np.maximum(seen, 1) - 1 / self._n_cases, 0)
        return added
