"""The weights of alike arms' features on single cases, many cases at once.

On every case each feature has a weight of its own, normal around 0 with the feature's variance (best linear unbiased
prediction; see `interplay`). A case of few cells is solved by its cells, one of many by the features.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Solved(NamedTuple):
    """Each case's weights and their variances, and how far each of its cells lies above what the others say of it.

    And the variance of that. Shape (n_cases, n_features) and (n_cases, n_cells).
    """

    weights: Floats
    doubts: Floats
    without: Floats
    spreads: Floats


def by_cells(x: Floats, rests: Floats, noises: Floats, variances: Floats) -> Solved:
    """Solve cases of few cells; `x`: (n_cases, n_cells, n_features), `rests` and `noises`: (n_cases, n_cells)."""
    scaled = x * variances
    total = scaled @ x.transpose(0, 2, 1)
    places = np.arange(x.shape[1])
    total[:, places, places] += noises
    inverse = np.linalg.inv(total)
    spreads = np.asarray(1.0 / inverse[:, places, places])
    told = np.einsum("bij,bj->bi", inverse, rests)
    known = np.einsum("bif,bif->bf", scaled, inverse @ scaled)
    doubts = np.asarray(np.maximum(variances - known, 0.0))
    return Solved(np.einsum("bif,bi->bf", scaled, told), doubts, told * spreads, spreads)


def by_features(x: Floats, rests: Floats, noises: Floats, variances: Floats) -> Solved:
    """Solve cases of more cells than features; see `by_cells`."""
    scaled = x / noises[:, :, None]
    precision = scaled.transpose(0, 2, 1) @ x
    places = np.arange(x.shape[2])
    precision[:, places, places] += 1.0 / variances
    covariance = np.linalg.inv(precision)
    weights = np.einsum("bfg,big,bi->bf", covariance, scaled, rests, optimize=True)
    own = np.einsum("bif,bif->bi", x @ covariance, scaled)
    others = np.maximum(1.0 - own, 1e-6)
    without = (rests - np.einsum("bif,bf->bi", x, weights)) / others
    doubts = np.asarray(covariance[:, places, places])
    return Solved(weights, doubts, without, noises / others)
