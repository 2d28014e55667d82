"""What arms that share a parameter's value have in common on single cases, beyond what the case does to all.

Two temperatures of one model mostly fail on the same questions. So what one arm scored on a case says what its kin
would score there, and their difference shows after few cases. And if one model happens to fail on the cases seen so
far, every arm of it looks bad, and averaging over the arms does not help: only further cases do.

On every case each group of features has weights of its own, normal around 0 with the group's variance. Source:
Henderson 1975 (best linear unbiased prediction); Haseman & Elston 1972, "The investigation of linkage between a
quantitative trait and a marker locus" (variances from products of residuals); Stone 1974, "Cross-validatory choice and
assessment of statistical predictions" (predictions that leave the own score out).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.interplay_solver import by_cells, by_features

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MAX_WIDTH = 40
"""Groups of more features than this are left out."""
MAX_FEATURES = 64
"""The groups that explain most share so many."""
SIGNIFICANT = 3.0
"""Standard errors of chance by which alike arms' residuals must be alike."""
MIN_ARMS = 8
"""Fewer are not worth comparing."""
NEGLIGIBLE = 0.1
"""Interplay that explains less than this part of the residuals is not worth its own error."""
_MAX_ARMS, _MAX_CASES = 256, 64
"""Variances are estimated from the arms and cases most seen, so that the cost does not grow."""
_MAX_NUMBERS = 1_000_000
"""Features of cells that are solved at once."""
_LEAST_NOISE = 0.1
"""Part of the residuals' variance that is noise at least."""
_MOST = 2.0
"""Standard deviations of what its kin may add to an arm: where features are carried too far, what they say is wild."""
_LEAST_FREEDOM = 1e-6
"""Of a residual that is the arm's only one, and says nothing."""


class Explained(NamedTuple):
    """What an arm's kin say that a case adds to its score, and by how much more than usual that is uncertain."""

    value: float
    doubt: float


UNEXPLAINED = Explained(0.0, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """Arms on cases, shape (n_cells,) each."""

    arm: Ints
    case: Ints
    own_rests: Floats
    """How far the mean score lies above the arm's own mean and what the case adds to all."""
    rests: Floats
    """The same above what is believed of the arm."""
    doubts: Floats
    """The variance of that belief."""
    noises: Floats
    """The part of a single call's noise that is left in the mean of the cell's repeats."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kin:
    """The arms among which some are alike."""

    interplay: "Interplay"
    features: Floats
    """Shape (n_arms, n_features)."""
    doubts: Floats
    """The variance of what is believed of each arm, shape (n_arms,)."""

    def explain(self, cells: Cells) -> tuple[Floats, Floats]:
        """Return what of each cell's residual the arm's kin explain, and how uncertain it is; see `Interplay.fit`."""
        return self.interplay.fit(self.features, cells)

    def alike(self, arm: Ints, case: Ints) -> Floats | float:
        """Return the variance of each case's mean over its cells that arms have in common; see `Interplay.alike`."""
        return self.interplay.alike(self.features, arm, case)

    def shared(self) -> Floats:
        """Return the variance of each arm's mean that its kin share; see `Interplay.variance`."""
        return self.interplay.variance(self.features)


class Interplay:
    """The variance of every group's weights on single cases, and the weights on each case."""

    def __init__(self, slices: Sequence[slice], weights: Floats) -> None:
        self._slices = [part for part in slices if part.stop - part.start <= MAX_WIDTH]
        self._weights = weights / weights.sum()
        self._columns = np.zeros(0, dtype=np.int64)
        self._variances = np.zeros(0)
        self._values = np.zeros((len(weights), 0))
        self._doubts = np.zeros((len(weights), 0))
        self.usual = 0.0
        """The variance of what a case adds to an arm for its kinship."""
        self._usual_doubt = 0.0
        """The mean uncertainty of what is explained; the scatter of the residuals has that already."""
        self._mean = np.zeros(0)
        self._seen = np.zeros((0, 2))

    def fit(self, features: Floats, cells: Cells) -> tuple[Floats, Floats]:
        """Return what of each cell's residual the arm's kin explain, without its own score; shape (n_cells,) both.

        And how uncertain that is beyond what all residuals are: an arm that is like no other is explained by none, and
        on how few cases it has shown itself to be like its kin. What is explained adds nothing to an arm's mean over
        all cases. A single case of an arm cannot be told from the arm itself, and explains no other.
        """
        arm, case = cells.arm, cells.case
        counts = np.bincount(arm, minlength=len(features)).astype(float)
        freedom = np.maximum(1.0 - 1.0 / np.maximum(counts, 1.0), _LEAST_FREEDOM)
        squares = float((cells.own_rests**2).sum() / freedom[arm].sum())
        self._choose(features, cells, squares)
        self._values, self._doubts = np.zeros((2, len(self._weights), len(self._columns)))
        self._mean, self.usual = np.zeros(len(self._columns)), 0.0
        if len(self._columns) == 0:
            return np.zeros(len(arm)), np.zeros(len(arm))
        x = features[:, self._columns]
        own = ((x**2) @ self._variances)[arm]
        self.usual = float(own.mean())
        noise = max(squares - self.usual, _LEAST_NOISE * squares)
        left, spreads = self._leave_out(x, cells, noise * cells.noises / freedom[arm] + cells.doubts)
        self._usual_doubt = float(spreads.mean())
        left = np.clip(left, -_MOST * np.sqrt(own), _MOST * np.sqrt(own))
        self._seen = np.abs(x).T @ np.column_stack([counts, counts**2])
        self._mean = self._weights @ self._values
        there = np.einsum("nf,nf->n", x[arm], self._values[case])
        total = x @ self._mean + np.bincount(arm, weights=self._weights[case] * (left - there), minlength=len(x))
        doubts = np.maximum(spreads - self._usual_doubt, 0.0) + own / counts[arm]
        return left - total[arm], doubts

    def at(self, features: Floats, case: int) -> Explained:
        """Return what an arm's kin say of its score on a case where it has none, beside its mean.

        As doubtful as if it had shown nothing yet, until the next `fit`.
        """
        if len(self._columns) == 0:
            return UNEXPLAINED
        x = features[self._columns]
        own = float(x**2 @ self._variances)
        doubt = max(float(x**2 @ self._doubts[case]) - self._usual_doubt, 0.0) + own
        most = _MOST * own**0.5
        return Explained(min(max(float(x @ (self._values[case] - self._mean)), -most), most), doubt)

    def alike(self, features: Floats, arm: Ints, case: Ints) -> Floats | float:
        """Return the variance that kinship leaves in the mean of each case's cells, 0 where there is none.

        Eight arms that are one another's kin say of a case what one says. Shape (n_cases,).
        """
        if len(self._columns) == 0:
            return 0.0
        order = np.argsort(case, kind="stable")
        cases, starts, counts = np.unique(case[order], return_index=True, return_counts=True)
        sums = np.add.reduceat(features[:, self._columns][arm[order]], starts, axis=0)
        found = np.zeros(len(self._weights))
        found[cases] = (sums / counts[:, None]) ** 2 @ self._variances
        return found

    def variance(self, features: Floats) -> Floats:
        """Return the variance of arms' means that their kin all share for having seen only so many cases.

        Shape (n,).
        """
        if len(self._columns) == 0:
            return np.zeros(len(features))
        x = features[:, self._columns]
        cells, squares = (np.abs(x) @ self._seen).T
        seen = np.where(cells > 0.0, squares / np.maximum(cells, 1e-12), 1.0)
        added: Floats = ((x**2) @ self._variances) * np.maximum(1 / np.maximum(seen, 1) - 1 / len(self._weights), 0)
        return added

    def _choose(self, features: Floats, cells: Cells, squares: float) -> None:
        """Measure, in every group, how alike the residuals of alike arms are on the same case."""
        self._columns, self._variances = np.zeros(0, dtype=np.int64), np.zeros(0)
        if len(features) < MIN_ARMS or squares <= 0.0:
            return
        known, residuals, seen = _dense(features, cells)
        products, common = residuals @ residuals.T, seen @ seen.T
        np.fill_diagonal(products, 0.0)
        np.fill_diagonal(common, 0.0)
        found = []
        for part in self._slices:
            kernel = known[:, part] @ known[:, part].T
            moment, weight = float((products * kernel).sum()), float((common * kernel**2).sum())
            if weight > 0.0 and moment > SIGNIFICANT * squares * (2.0 * weight) ** 0.5:
                found.append((part, kernel))
        if not found:
            return
        variances = _variances([kernel for _, kernel in found], products, common)
        typical = [float(kernel.diagonal() @ seen.sum(axis=1)) / float(seen.sum()) for _, kernel in found]
        explained = variances * np.array(typical)
        if explained.sum() < NEGLIGIBLE * squares:
            return
        columns: list[int] = []
        each: list[float] = []
        for place in np.argsort(-explained):
            part = found[place][0]
            width = part.stop - part.start
            if explained[place] > 0.0 and len(columns) + width <= MAX_FEATURES:
                columns += range(part.start, part.stop)
                each += [float(variances[place])] * width
        self._columns, self._variances = np.array(columns, dtype=np.int64), np.array(each)

    def _leave_out(self, x: Floats, cells: Cells, noises: Floats) -> tuple[Floats, Floats]:
        """Set every case's weights, and return what they say of each cell without it, and how uncertain that is.

        Cases of like size are solved together.
        """
        left, spreads = np.zeros(len(noises)), np.zeros(len(noises))
        self._doubts[:] = self._variances
        order = np.argsort(cells.case, kind="stable")
        cases, starts, sizes = np.unique(cells.case[order], return_index=True, return_counts=True)
        rooms = 2 ** np.ceil(np.log2(sizes)).astype(int)
        for chosen in _batches(rooms, x.shape[1]):
            room = int(rooms[chosen[0]])
            places = starts[chosen][:, None] + np.arange(room)
            is_there = np.arange(room) < sizes[chosen][:, None]
            which = order[np.minimum(places, len(order) - 1)]
            here = x[cells.arm[which]] * is_there[:, :, None]
            rest, noise = cells.rests[which], np.where(is_there, noises[which], 1.0)
            solve = by_cells if room <= x.shape[1] else by_features
            solved = solve(here, rest, noise, self._variances)
            self._values[cases[chosen]], self._doubts[cases[chosen]] = solved.weights, solved.doubts
            left[which[is_there]] = (rest - solved.without)[is_there]
            spreads[which[is_there]] = (solved.spreads - noise)[is_there]
        return left, spreads


def _batches(rooms: Ints, n_features: int) -> Iterator[Ints]:
    """Yield the places of cases of one size, no more at once than memory is to hold."""
    for room in np.unique(rooms):
        places = np.flatnonzero(rooms == room)
        most = max(_MAX_NUMBERS // (int(room) * n_features), 1)
        for start in range(0, len(places), most):
            yield places[start : start + most]


def _dense(features: Floats, cells: Cells) -> tuple[Floats, Floats, Floats]:
    """Return features, residuals and 1 where there is one, of the arms and cases most seen; (n_arms, ...) each."""
    arm, case = cells.arm, cells.case
    counts = np.bincount(arm, minlength=len(features))
    arms = np.argsort(-counts, kind="stable")[:_MAX_ARMS]
    arms = arms[counts[arms] > 1]
    cases = np.argsort(-np.bincount(case), kind="stable")[:_MAX_CASES]
    row, column = np.full(len(features), -1), np.full(int(case.max()) + 1, -1)
    row[arms], column[cases] = np.arange(len(arms)), np.arange(len(cases))
    kept = (row[arm] >= 0) & (column[case] >= 0)
    residuals, seen = np.zeros((len(arms), len(cases))), np.zeros((len(arms), len(cases)))
    residuals[row[arm[kept]], column[case[kept]]] = cells.own_rests[kept]
    seen[row[arm[kept]], column[case[kept]]] = 1.0
    return features[arms], residuals, seen


def _variances(kernels: Sequence[Floats], products: Floats, common: Floats) -> Floats:
    """Return the groups' variances that explain the products of residuals best, none below 0."""
    flat = np.array(kernels).reshape(len(kernels), -1)
    normal, moments = (flat * common.reshape(-1)) @ flat.T, flat @ products.reshape(-1)
    variances = np.zeros(len(kernels))
    kept = list(range(len(kernels)))
    while kept:
        solved = np.linalg.lstsq(normal[np.ix_(kept, kept)], moments[kept], rcond=None)[0]
        if solved.min() >= 0.0:
            variances[kept] = solved
            break
        del kept[int(solved.argmin())]
    return variances
