"""Which of the arms, opened or not, gets the next calls: a leader, a Thompson-drawn challenger, and one of the two.

The leader is the arm that would be recommended, or the best of one draw; a challenger is an arm that in some posterior
draw beats it by more than the margin that matters, so that no call is spent on telling apart arms that are as good as
each other. Source: Russo 2020, "Simple Bayesian algorithms for best-arm identification" (top-two Thompson sampling);
Jourdan, Degenne & Kaufmann 2023, "An epsilon-best-arm identification algorithm for fixed-confidence and beyond"
(empirical-best leader, margin); You et al. 2023, "Information-directed selection for top-two algorithms" (which of
the two).
"""

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.mixtures import Elsewhere, Parts

_MAX_DRAWS = 8
_MAX_NUMBERS = 20_000
"""So many random numbers at most per draw of all arms, so that a decision's cost does not grow with them."""
_TRIES = 8


def next_arm(
    parts: Parts,
    leader: int | None,
    within: float,
    is_open_to_calls: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    elsewhere: Elsewhere | None = None,
) -> int | None:
    """Return the arm to call next, or None if none is open to calls.

    All arms take part in the draws; the last one stands for `elsewhere`, where that is given.
    A leader that no draw beats is called itself: it proves good, or makes way. When
    neither leader nor challenger can be called, another challenger is drawn.
    """
    callable_arms = np.flatnonzero(is_open_to_calls)
    if len(callable_arms) == 0:
        return None
    if len(is_open_to_calls) == 1:
        return 0
    _, variances = parts.moments()
    for _ in range(_TRIES):
        first, challenger, is_beaten = duel(parts, leader, within, rng, elsewhere)
        share = variances[first] / max(variances[first] + variances[challenger], 1e-300) if is_beaten else 1.0
        order = (first, challenger) if rng.random() < share else (challenger, first)
        for arm in order:
            if is_open_to_calls[arm]:
                return int(arm)
    draws = _drawn(parts, rng, elsewhere)[:, callable_arms]
    return int(callable_arms[draws.max(axis=0).argmax()])


def duel(
    parts: Parts, leader: int | None, within: float, rng: np.random.Generator, elsewhere: Elsewhere | None = None
) -> tuple[int, int, bool]:
    """Return the leader, the first arm to beat it by the margin in a draw or to come nearest, and whether any did.

    Needs two arms. Without a leader, the best of one draw leads.
    """
    draws = _drawn(parts, rng, elsewhere)
    first = int(draws[0].argmax()) if leader is None else leader
    excess = draws - draws[:, first : first + 1] - within * abs(draws[:, first : first + 1])
    excess[:, first] = -np.inf
    best = excess.max(axis=1)
    winners = np.flatnonzero(best > 0.0)
    row = int(winners[0]) if len(winners) > 0 else int(best.argmax())
    return first, int(excess[row].argmax()), len(winners) > 0


def _drawn(parts: Parts, rng: np.random.Generator, elsewhere: Elsewhere | None) -> NDArray[np.float64]:
    n = parts.shares.shape[1]
    shape = (min(max(_MAX_NUMBERS // n, 2), _MAX_DRAWS), n)
    chance = rng.random(shape)
    is_odd, is_wide = chance < parts.shares[2], chance < parts.shares[2] + parts.shares[1]
    deviations = np.sqrt(parts.variances)
    part = np.where(is_odd, 2, np.where(is_wide, 1, np.where(chance >= 1.0 - parts.shares[3], 3, 0)))
    arms = np.arange(n)
    means, spreads = parts.means[part, arms], deviations[part, arms]
    draws = means + spreads * rng.standard_normal(shape)
    if elsewhere is not None:
        draws[:, -1] = elsewhere.best(len(draws), rng)
    # No score is above 1: what a normal puts there belongs below.
    return np.asarray(np.where(draws > 1.0, 2.0 - draws, draws))
