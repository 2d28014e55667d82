"""Top-two Thompson sampling: which of the arms, opened or not, gets the next calls.

Source: Russo 2020, "Simple Bayesian algorithms for best-arm identification" (section 3.3); You et al. 2023,
"Information-directed selection for top-two algorithms" (which of the two: the one whose own variance is the greater
part of the pair's).
"""

import numpy as np
from numpy.typing import NDArray

_DRAWS = 8
_TRIES = 16


def next_arm(
    means: NDArray[np.float64],
    variances: NDArray[np.float64],
    is_open_to_calls: NDArray[np.bool_],
    rng: np.random.Generator,
) -> int | None:
    """Return the arm to call next, or None if none is open to calls.

    All arms take part in the draws; when neither of the two drawn can be called, two others are drawn.
    """
    callable_arms = np.flatnonzero(is_open_to_calls)
    if len(callable_arms) == 0:
        return None
    if len(means) == 1:
        return 0
    deviations = np.sqrt(variances)
    for _ in range(_TRIES):
        leader, challenger = top_two(means, deviations, rng)
        share = variances[leader] / max(variances[leader] + variances[challenger], 1e-300)
        first, second = (leader, challenger) if rng.random() < share else (challenger, leader)
        for arm in (first, second):
            if is_open_to_calls[arm]:
                return int(arm)
    hopes = (means + 2.0 * deviations)[callable_arms]
    return int(callable_arms[hopes.argmax()])


def top_two(means: NDArray[np.float64], deviations: NDArray[np.float64], rng: np.random.Generator) -> tuple[int, int]:
    """Return the best arm of one posterior draw and of the first later draw whose best is another. Needs two arms."""
    draws = means + deviations * rng.standard_normal((_DRAWS, len(means)))
    best = draws.argmax(axis=1)
    leader = int(best[0])
    others = np.flatnonzero(best != leader)
    if len(others) > 0:
        return leader, int(best[others[0]])
    rest = draws.max(axis=0)
    rest[leader] = -np.inf
    return leader, int(rest.argmax())
