"""Features of configurations for a linear model: one group per parameter, one per pair of parameters.

Levels are indicators; ordered values get the leading eigenfunctions of a Gaussian kernel, so that neighbours are alike.
Features are centred, so that a group's variance is what that parameter explains. Source: Rasmussen & Williams 2006,
section 4.3 (eigenfunctions).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.genome import Codec, Gene, Rows

LENGTH_SCALE = 0.35
"""Of the kernel over [0, 1]: values a third of the range apart are about half as alike as equal ones."""
MAX_LEVEL_FEATURES = 320
"""Levels of one parameter beyond this many share no feature; the model's residual carries them."""
MAX_PLACES = 256
"""More ordered values of a pool than this are interpolated: eigenfunctions cost the cube of them."""
_GRID = np.linspace(0.0, 1.0, 33)


@dataclass(frozen=True, kw_only=True, slots=True)
class Basis:
    """The features of one gene: a table over its levels, or over a grid of [0, 1] to interpolate in."""

    gene: int
    table: NDArray[np.float64]
    """Shape (n_levels or n_grid, n_features)."""
    is_real: bool
    absent: NDArray[np.float64]
    """Shape (n_features,): the features where the parameter does not apply."""

    @property
    def width(self) -> int:
        """How many features there are."""
        return int(self.table.shape[1])

    def __call__(self, column: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the features of a column of genes, shape (n, n_features)."""
        here = np.nan_to_num(column)
        values = _between(self.table, here) if self.is_real else self.table[here.astype(int)]
        features: NDArray[np.float64] = np.where(np.isnan(column)[:, None], self.absent, values)
        return features


def bases(codec: Codec, pool: Rows | None) -> list[Basis]:
    """Return the features of every gene that varies; in a pool, a level of a single candidate has none."""
    made = []
    for j, gene in enumerate(codec.genes):
        column = None if pool is None else pool[:, j]
        basis = _real_basis(j) if gene.is_real else _level_basis(j, gene, column)
        if basis is not None and basis.width > 0:
            made.append(basis)
    return made


def main_features(rows: Rows, made: Sequence[Basis]) -> list[NDArray[np.float64]]:
    """Return the features of each basis for some rows."""
    return [basis(rows[:, basis.gene]) for basis in made]


def pair_features(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return every product of a feature of one parameter and a feature of another, shape (n, n_left * n_right)."""
    products: NDArray[np.float64] = np.einsum("ni,nj->nij", left, right).reshape(len(left), -1)
    return products


def _real_basis(j: int) -> Basis:
    table = _smooth(_GRID, np.full(len(_GRID), 1.0 / len(_GRID)))
    return Basis(gene=j, table=table, is_real=True, absent=np.zeros(table.shape[1]))


def _level_basis(j: int, gene: Gene, column: NDArray[np.float64] | None) -> Basis | None:
    assert gene.levels is not None
    n_levels = len(gene.levels)
    present = np.ones(n_levels)
    if column is not None:
        present = np.bincount(column[~np.isnan(column)].astype(int), minlength=n_levels).astype(float)
    n_absent = 0 if column is None else int(np.isnan(column).sum())
    if n_levels + (n_absent > 0) <= 1:
        return None
    if gene.places is not None and n_levels > 1:
        table = _smooth(np.array(gene.places), present / present.sum())
    else:
        table = _indicators(present, is_pool=column is not None)
    absent = np.zeros(table.shape[1])
    if gene.parameter.when is not None or n_absent > 0:
        table = np.column_stack([table, np.full(n_levels, -0.5)])
        absent = np.append(absent, 0.5)
    return Basis(gene=j, table=table, is_real=False, absent=absent)


def _indicators(counts: NDArray[np.float64], *, is_pool: bool) -> NDArray[np.float64]:
    n_levels = len(counts)
    if n_levels == 2:  # noqa: PLR2004  one contrast says all that two indicators say
        return np.array([[-(0.5**0.5)], [0.5**0.5]]) if not is_pool or counts.min() > 0 else np.zeros((2, 0))
    shared = np.flatnonzero(counts > 1) if is_pool else np.arange(n_levels)
    shared = shared[:MAX_LEVEL_FEATURES]
    table = np.zeros((n_levels, len(shared)))
    table[shared, np.arange(len(shared))] = 1.0
    return table


def _smooth(places: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the features of places in [0, 1] that have these weights, of many by way of a grid."""
    if len(places) > MAX_PLACES:
        left, share = _in_grid(places)
        on_grid = np.zeros(len(_GRID))
        np.add.at(on_grid, left, weights * (1.0 - share))
        np.add.at(on_grid, left + 1, weights * share)
        return _between(_smooth(_GRID, on_grid), places)
    kernel = np.exp(-0.5 * ((places[:, None] - places[None, :]) / LENGTH_SCALE) ** 2)
    centred = kernel - (kernel @ weights)[:, None]
    centred -= weights @ centred
    values, vectors = np.linalg.eigh((centred + centred.T) / 2)
    keep = values > 0.02 * max(values.sum(), 1e-12)  # what explains less is noise to the model
    features: NDArray[np.float64] = vectors[:, keep] * np.sqrt(values[keep] / max(values.sum() / len(places), 1e-12))
    return features


def _in_grid(places: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the point of the grid left of each place, and how much of the way to the next it lies."""
    x = places * (len(_GRID) - 1)
    left = np.minimum(x.astype(np.int64), len(_GRID) - 2)
    return left, x - left


def _between(table: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    left, share = _in_grid(places)
    return np.asarray(table[left] * (1.0 - share)[:, None] + table[left + 1] * share[:, None])
