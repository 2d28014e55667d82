"""The change against the baseline, paired on the cases that both arms have."""

import numpy as np

from convergence_cluster.domain.search import Interval
from convergence_cluster.optimizers.answer import Z90, best_arm
from convergence_cluster.optimizers.belief import Belief
from convergence_cluster.optimizers.evidence import Evidence

_FREEDOM = 6.0
"""Pseudo degrees of freedom with which the variance of differences is drawn towards that of independent calls."""


def change_since(baseline: int, evidence: Evidence, belief: Belief) -> Interval | None:
    """Return the change of the recommended arm against the baseline; None while either has no score."""
    best = best_arm(belief)
    return None if best is None or not belief.n_cases[baseline] else paired_change(evidence, belief, best, baseline)


def paired_change(evidence: Evidence, belief: Belief, arm: int, baseline: int) -> Interval:
    """Return the score of an arm less that of the baseline with its 90 % interval.

    The difference of what is reported of both, whose error on common cases is measured on the differences themselves
    where that is smaller: what makes a case hard for both cancels.
    """
    (mean, variance), (reference, its_variance) = belief.reported(arm, arm), belief.reported(baseline, arm)
    mean, variance = mean - reference, variance + its_variance
    if arm == baseline:
        return Interval(mean=0.0, low=0.0, high=0.0)
    left, right = evidence.common(arm, baseline)
    n = len(left)
    if n > 1:
        independent = float(belief.call_variances[arm] + belief.call_variances[baseline])
        squares = float(((left - right - (left - right).mean()) ** 2).sum())
        ratio = (_FREEDOM * independent + squares) / (_FREEDOM + n - 1) / max(independent, 1e-12)
        variance *= 1.0 - (1.0 - min(ratio, 1.0)) * _share_paired(belief, arm, baseline, n)
    half, its_half = Z90 * float(np.sqrt(variance)), Z90 * float(np.sqrt(its_variance))
    low, high = -min(reference + its_half, 1.0), 1.0 - max(reference - its_half, 0.0)  # as far as a score can go
    return Interval(mean=mean, low=max(mean - half, low), high=min(mean + half, high))


def _share_paired(belief: Belief, arm: int, baseline: int, n_common: int) -> float:
    """Return how much of the variance of the difference of two means comes from the cases that both have."""
    mine, its = float(belief.call_variances[arm]), float(belief.call_variances[baseline])
    n_mine, n_its = max(int(belief.n_cases[arm]), 1), max(int(belief.n_cases[baseline]), 1)
    both = (mine + its) * n_common / (n_mine * n_its)
    return min(both / max(mine / n_mine + its / n_its, 1e-300), 1.0)
