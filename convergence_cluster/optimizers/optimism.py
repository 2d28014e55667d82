"""Whether arms that look good turn out as good as believed, judged by every further call of them.

What is believed of an arm before a call of it should be right on average, also of the arms that were chosen for looking
good. Where true scores do not spread as the model assumes, it is not: then the leaders disappoint, one like the other,
and an answer given before they have had their calls would promise too much. The mean disappointment, in units of the
arms' own uncertainty, is taken off what is reported. Source: Dawid 1984, "The prequential approach" (forecasts are
judged by what follows them).
"""

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.arms import Arms
from convergence_cluster.optimizers.evidence import Evidence

Floats = NDArray[np.float64]

_DISCOUNT = 0.99
"""What a call still counts after each later one."""
_FIRST_SHIFT, _PRECISION = -1.5, 2.0
"""The belief before any call, times the doubt that is left, and its precision. True scores have no tail as long as a
normal's: leaders disappoint while the model more than their own calls speaks for them."""
_MOST = 1.0


class Optimism:
    """By how many of their standard deviations leading arms score above what was believed of them; mostly below 0."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._weight = 0.0
        self._bar = 1.0

    def lead(self, arms: Arms, leader: int | None) -> None:
        """Note whose calls matter from now on: the leader's, and of all arms that come within its uncertainty."""
        self._bar = 1.0 if leader is None else float(arms.means[leader] - arms.variances[leader] ** 0.5)

    def watch(self, arms: Arms, evidence: Evidence, arm: int, case: int, score: float) -> None:
        """Judge what is believed of an arm by one more call, before that is learned."""
        mean, variance = float(arms.means[arm]), float(arms.variances[arm])
        if mean < self._bar or evidence.counts[arm] == 0:
            return
        self.tell(evidence.surprise(case, score, mean), variance, evidence.call_variance(mean))

    def tell(self, surprise: float, variance: float, call_variance: float) -> None:
        """Take in a call's score less what was believed of its arm, and the variances of that belief and of a call."""
        total = max(variance + call_variance, 1e-12)
        self._sum = _DISCOUNT * self._sum + surprise * variance**0.5 / total
        self._weight = _DISCOUNT * self._weight + variance / total

    def shifts(self, doubts: Floats) -> Floats:
        """Return what to add to the means of leading arms, in their standard deviations.

        `doubts`: those over the standard deviation between arms. Shape (n_arms,) both.
        """
        first = np.maximum(_FIRST_SHIFT * doubts, -_MOST)
        return np.asarray((self._sum + _PRECISION * first) / (self._weight + _PRECISION))

    @property
    def variance(self) -> float:
        """How uncertain the shifts are."""
        return 1.0 / (self._weight + _PRECISION)
