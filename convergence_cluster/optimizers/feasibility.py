"""Which configurations can be run at all, learned from those that could not.

An API rejects every request with one model, or fails above some number of tokens. The same features that say what
configurations score say which of them run; one draw decides, so what may run after all is tried again, and what is
known not to is not. Source: Gelbart, Snoek & Adams 2014, "Bayesian optimization with unknown constraints" (a model of
feasibility beside that of the objective), here linear and by Thompson sampling.
"""

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.arms import Arms
from convergence_cluster.optimizers.design import Design
from convergence_cluster.optimizers.surrogate import Surrogate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_RUNS, _FAILS = 0.5, -0.5
"""What is fitted; half is what the model expects before it knows better: that a configuration runs."""
_ERROR, _DOUBT = 0.01, 0.25
"""Variance of that: of an arm that gave scores or is out, and of one whose first calls failed, which may be chance."""
_SURE = 0.25
"""A new arm of which less is expected gets a single call first."""
_AGAIN = 2
"""Failed calls after which an arm is given up where others of its kind fail; four elsewhere."""
_ROUNDS = 4


class Feasibility:
    """A model of what runs; nothing while everything does, or nothing at all."""

    def __init__(self, design: Design) -> None:
        self._design = design
        self._surrogate: Surrogate | None = None

    def learn(self, arms: Arms, counts: Floats, n_failed: Ints) -> Ints:
        """Fit to the opened arms, by their cases with a score and their failed calls; return those to give up.

        An arm that fails again where others of its kind fail is given up. Shape (n_arms,) both; returns ids.
        """
        self._surrogate = None
        nothing = np.zeros(0, dtype=np.int64)
        if not arms.out:
            return nothing
        is_out = np.zeros(arms.n, dtype=bool)
        is_out[arms.out] = True
        is_failing = ~is_out & (counts == 0) & (n_failed > 0)
        running = ~is_out & (counts > 0)
        if not running.any():
            return nothing
        known = running | is_failing | is_out
        truth, errors = np.where(running, _RUNS, _FAILS), np.where(is_failing, _DOUBT, _ERROR)
        self._surrogate = Surrogate(self._design.widths, self._design.shares())
        self._surrogate.fit(arms.features[known], truth[known], errors[known], np.ones(int(known.sum())), _ROUNDS)
        return np.flatnonzero(is_failing & (n_failed >= _AGAIN) & ~self.likely(arms.features))

    def likely(self, features: Floats) -> NDArray[np.bool_]:
        """Say of rows of features whether they are more likely to run than not, shape (n,)."""
        return self._above(features, 0.0)

    def surely(self, features: Floats) -> NDArray[np.bool_]:
        """Say of rows of features whether little speaks against their running, shape (n,)."""
        return self._above(features, _SURE)

    def _above(self, features: Floats, bar: float) -> NDArray[np.bool_]:
        if self._surrogate is None:
            return np.ones(len(features), dtype=bool)
        return np.asarray(features @ self._surrogate.mean > bar)

    def drawn(self, features: Floats, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Say it by one draw of what is believed, shape (n,); while everything runs nothing is drawn.

        Of many that hardly can, the best would always be drawn as if it could: what they do beyond the model counts
        only where the model leaves none.
        """
        if self._surrogate is None:
            return np.ones(len(features), dtype=bool)
        drawn = features @ self._surrogate.draws(1, rng)[:, 0]
        if (drawn <= 0.0).all():
            drawn += self._surrogate.deviation**0.5 * rng.standard_normal(len(features))
        return np.asarray(drawn > 0.0)
