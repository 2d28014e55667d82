"""How far arms lie from what the model says of them: most a little, some anywhere.

A mixture of three parts. The second, of arms of which the model knows nothing but that they are among the others, is
what makes a search try what the model thinks little of. The third, of arms that may score anything at all, is what
makes it try what nobody would think of, and doubt an answer while much is untried: without a single such arm seen its
share is about one in as many as were opened.
"""

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.inheritance import Inheritance
from convergence_cluster.optimizers.mixtures import Elsewhere, Parts, log_density, posterior
from convergence_cluster.optimizers.surrogate import Prior

Floats = NDArray[np.float64]

FIRST_LOST, PSEUDO_LOST = 0.1, 10.0
"""The first guess of the share of lost arms, and how many arms' worth of belief it has."""
FIRST_ODD, PSEUDO_ODD = 0.02, 50.0
"""The same for arms that may lie anywhere."""
ANYWHERE = (0.5, 1.0 / 12.0)
"""Mean and variance of scores spread evenly over [0, 1]."""
_FIRST_CENTRE = 0.5
_FIRST_SPREAD = 0.06
_ROUNDS = 3


class Deviations:
    """The mixture: arms near what the model says, lost ones among all others, and odd ones anywhere."""

    def __init__(self, variance: float, inheritance: Inheritance) -> None:
        self._inheritance = inheritance
        self.lost = FIRST_LOST
        """The share of arms of which the model knows nothing."""
        self.odd = FIRST_ODD
        """The share of arms that may lie anywhere."""
        self.near = variance
        """Variance of the other arms around what the model says, times each arm's own factor."""
        self.centre = _FIRST_CENTRE
        self.spread = _FIRST_SPREAD

    def fit(self, means: Floats, errors: Floats, prior: Prior, variance: float, everywhere: Floats) -> Floats:
        """Fit to arms' means and the variances of their errors, to what the weights say, and to the deviation.

        `everywhere` is what the weights say of all configurations, for the opened arms are the promising ones.
        Returns how sure it is of each arm that it is near the model. The shares move on from where they were.
        """
        if len(means) == 0:
            return np.zeros(0)
        self._place_lost(means, errors, variance, everywhere)
        self.near = variance
        for _ in range(_ROUNDS):
            parts = self._alone(prior)
            shares = posterior(parts, means, np.broadcast_to(errors, parts.means.shape)).shares
            self.lost = (float(shares[1].sum()) + PSEUDO_LOST * FIRST_LOST) / (len(means) + PSEUDO_LOST)
            self.odd = (float(shares[2].sum()) + PSEUDO_ODD * FIRST_ODD) / (len(means) + PSEUDO_ODD)
        return np.asarray(shares[0])

    def log_density(self, prior: Prior, means: Floats, errors: Floats) -> Floats:
        """Return how well arms' means whose errors have these variances are explained without earlier studies."""
        return log_density(self._alone(prior), means, errors)

    def prior(self, prior: Prior) -> Parts:
        """Return what is expected of arms of which the model's weights say so much."""
        return self._inheritance.add_to(self._alone(prior), prior)

    def _alone(self, prior: Prior) -> Parts:
        """Return it without what earlier studies say."""
        n = len(prior.means)
        near = prior.variances + self.near * prior.scales
        return Parts(
            shares=np.repeat([[1.0 - self.lost - self.odd], [self.lost], [self.odd], [0.0]], n, axis=1),
            means=np.array([prior.means, np.full(n, self.centre), np.full(n, ANYWHERE[0]), np.zeros(n)]),
            variances=np.array([near, np.full(n, self.spread), np.full(n, ANYWHERE[1]), np.ones(n)]),
        )

    def elsewhere(self, count: int) -> Elsewhere:
        """Return what is expected of so many arms of which only the odd ones matter."""
        return Elsewhere(count=count, share=self.odd, mean=ANYWHERE[0], variance=ANYWHERE[1])

    def _place_lost(self, means: Floats, errors: Floats, variance: float, everywhere: Floats) -> None:
        weights = 1.0 / (_FIRST_SPREAD + errors)
        first = 1.0 / _FIRST_SPREAD
        self.centre = float((weights @ means + first * _FIRST_CENTRE) / (weights.sum() + first))
        excess = float((weights**2) @ ((means - self.centre) ** 2 - errors) + 2.0 * first)
        self.spread = max(excess / float((weights**2).sum() + 2.0 * first**2), variance)
        if len(everywhere) > 0:
            self.centre = float(everywhere.mean())
            self.spread = max(self.spread, float(everywhere.var()) + variance)
