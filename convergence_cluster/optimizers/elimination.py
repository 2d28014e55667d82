"""Which arms are clearly beaten, and which cannot run."""

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.optimizers.evidence import Evidence

Floats = NDArray[np.float64]

Z_OWN = 3.0
"""Least standard errors, by the arms' own calls alone, between a beaten arm and the leader."""
Z_POSTERIOR = 3.719
"""Least posterior standard deviations: a chance of 1e-4 to beat the leader, small enough for many looks."""
MIN_CASES = 2
MIN_FAILED = 4
"""Calls after which an arm is out when more than half of them gave no score."""


def beaten(leader: int, means: Floats, variances: Floats, evidence: Evidence) -> NDArray[np.bool_]:
    """Say of each arm whether the leader beats it by its own calls and by the posterior. Shape (n_arms,).

    `means` and `variances` are what is believed of the arms. Both comparisons are between scores less case effects, so
    that arms are paired on the cases they share. An arm's own calls are taken to scatter as much as they would if it
    were as good as the leader, where that is more: two failures in a row look alike, and say little of a coin that
    falls on either side. Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    if evidence.counts[leader] < MIN_CASES:
        return np.zeros(len(means), dtype=bool)
    own_means, own_errors = evidence.means(), evidence.errors(means)
    as_good = np.maximum(own_errors, evidence.errors(np.full(len(means), means[leader])))
    z_posterior = (means[leader] - means) / np.sqrt(np.maximum(variances + variances[leader], 1e-18))
    own_gap = np.where(evidence.counts > 0, own_means[leader] - np.nan_to_num(own_means), 0.0)
    z_own = own_gap / np.sqrt(np.maximum(as_good + own_errors[leader], 1e-18))
    gone: NDArray[np.bool_] = (z_posterior > Z_POSTERIOR) & (z_own > Z_OWN)
    gone[leader] = False
    return gone


def cannot_run(kind: OutcomeKind, n_calls: int, n_failed: int) -> bool:
    """Say whether an arm is out, from how its last call ended and how many of its calls gave no score."""
    return kind is OutcomeKind.INFEASIBLE or (n_calls >= MIN_FAILED and 2 * n_failed > n_calls)
