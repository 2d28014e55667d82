"""Which arms are clearly beaten."""

import numpy as np
from numpy.typing import NDArray

Z_OWN = 3.0
"""Least standard errors, by the arms' own calls alone, between a beaten arm and the leader."""
Z_POSTERIOR = 3.719
"""Least posterior standard deviations: a chance of 1e-4 to beat the leader, small enough for many looks."""
MIN_CASES = 2

Floats = NDArray[np.float64]


def beaten(
    *, leader: int, means: Floats, variances: Floats, own_means: Floats, own_errors: Floats, counts: Floats
) -> NDArray[np.bool_]:
    """Say of each arm whether the leader beats it by its own calls and by the posterior. Shape (n_arms,).

    Both comparisons are between scores less case effects, so that arms are paired on the cases they share.
    """
    if counts[leader] < MIN_CASES:
        return np.zeros(len(means), dtype=bool)
    z_posterior = (means[leader] - means) / np.sqrt(np.maximum(variances + variances[leader], 1e-18))
    own_gap = np.where(counts > 0, own_means[leader] - np.nan_to_num(own_means), 0.0)
    z_own = own_gap / np.sqrt(np.maximum(own_errors + own_errors[leader], 1e-18))
    gone: NDArray[np.bool_] = (z_posterior > Z_POSTERIOR) & (z_own > Z_OWN)
    gone[leader] = False
    return gone
