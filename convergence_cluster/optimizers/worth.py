"""What calls of an arm are worth: by how much they may be expected to raise the answer's true score, for each call.

Thompson sampling asks how likely an arm is the best. Two near the top may share most of that chance and yet need
hundreds of calls to be told apart, for little; an arm of one unlucky call may need two more to show what it is. Source:
Frazier & Powell 2010, "Paradoxes in learning and the marginal value of information" (KG(*): the number of calls that is
worth most for each of them, since the first few alone may change no decision).
"""

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.mixtures import Parts, normal_above

Floats = NDArray[np.float64]

_SIZES = (1, 4, 16, 64, 256)
"""Numbers of calls that are tried."""
_MAX_ARMS = 400
"""So many of the arms that may be highest are looked at, so that a decision's cost does not grow with them."""
_REACH = 2.0
_LEAST = 1e-12


def most_worth(
    parts: Parts, bar: float, call_variances: Floats, able: NDArray[np.bool_], chances: Floats
) -> int | None:
    """Return the arm of which calls are worth most, or None if none is worth anything.

    An answer is worth what it exceeds `bar` by. `call_variances`: of one call of each arm; `able`: whether an arm can
    be called; `chances`: that an arm is what its parts say, else it is worth nothing. Shape (n_arms,) each.
    """
    means, variances = parts.moments()
    hopes = np.where(able, means + _REACH * np.sqrt(variances), -np.inf)
    near = np.arange(len(hopes))
    if len(near) > _MAX_ARMS:
        near = np.argpartition(-hopes, _MAX_ARMS)[:_MAX_ARMS]
    near = near[able[near]]
    if len(near) == 0:
        return None
    worth = chances[near] * worth_of_calls(parts.only(near), bar, call_variances[near])
    place = int(worth.argmax())
    return int(near[place]) if worth[place] > _LEAST else None


def worth_of_calls(parts: Parts, bar: float, call_variances: Floats) -> Floats:
    """Return by how much the greater of arm's posterior mean and bar may be expected to rise over the bar, a call.

    At the number of calls for which that is most. Each part of a mixture keeps its share. Shape (n_arms,).
    """
    best = np.zeros(len(call_variances))
    for size in _SIZES:
        change = parts.variances / np.sqrt(parts.variances + call_variances / size)
        z = (parts.means - bar) / change
        density = np.exp(-0.5 * np.minimum(z * z, 1400.0)) / (2.0 * np.pi) ** 0.5
        rise = (parts.shares * change * (density + z * normal_above(-z))).sum(axis=0)
        best = np.maximum(best, rise / size)
    return best
