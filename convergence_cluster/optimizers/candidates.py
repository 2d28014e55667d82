"""Where arms that do not exist yet come from, and what the model expects of the most promising ones."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import Configuration
from convergence_cluster.optimizers.arms import Proposal
from convergence_cluster.optimizers.genome import Rows
from convergence_cluster.optimizers.mixtures import Unlooked
from convergence_cluster.optimizers.model import Model
from convergence_cluster.optimizers.surrogate import Prior, Told
from convergence_cluster.optimizers.tradeoffs import MetricPriors, Tradeoffs

N_DRAWS = 16
"""Thompson draws of the model by which the shortlist is chosen."""

Floats = NDArray[np.float64]

_NONE = np.zeros(0)
NOTHING = Prior(means=_NONE, variances=_NONE, scales=_NONE, told=Told(means=_NONE, variances=_NONE, shares=_NONE))


NO_METRICS = MetricPriors(means=np.zeros((0, 0)), variances=np.zeros((0, 0)))


class Candidates(Protocol):
    """A source of new arms with a shortlist; `prior` is what the model says of it, in the same order."""

    prior: Prior
    metrics: MetricPriors
    """The same in every metric; empty where the whole front is not searched for."""
    features: Floats
    """Of all configurations that exist, shape (n, n_features); (0, n_features) where they are too many."""

    def refresh(
        self, model: Model, parents: Rows, rng: np.random.Generator, tradeoffs: Tradeoffs | None = None
    ) -> None:
        """Choose the shortlist anew, half of it for the front where that is known.

        Parents are the rows of the best arms, best first.
        """
        ...

    def take(self, place: int) -> Proposal:
        """Remove one of the shortlist, for it becomes an arm."""
        ...

    def n_left(self) -> int:
        """Return how many configurations are not opened, as far as they can be counted."""
        ...

    def rest(self, model: Model) -> Unlooked:
        """Return what is expected of the configurations that are neither opened nor on the shortlist."""
        ...

    def take_any(self, rng: np.random.Generator) -> Proposal:
        """Remove any one of them."""
        ...

    def claim(self, configuration: Configuration) -> Proposal | None:
        """Return the proposal of a configuration from elsewhere, or None if it does not exist or is taken already."""
        ...

    def context(self) -> Floats:
        """Return the operator policy's context as it is now."""
        ...

    def redesign(self) -> None:
        """Take note that the design's groups have changed; a `refresh` follows."""
        ...


def in_metrics(tradeoffs: Tradeoffs | None, features: Floats) -> MetricPriors:
    """Return what is expected of rows of features in every metric, of none where the front is not searched for."""
    if tradeoffs is None:
        return MetricPriors(means=np.zeros((len(features), 0)), variances=np.zeros((len(features), 0)))
    return tradeoffs.expected(features)


def promising(
    model: Model,
    tradeoffs: Tradeoffs | None,
    features: Floats,
    rows: Rows,
    rng: np.random.Generator,
    *,
    n: int,
    n_scored: int | None = None,
) -> NDArray[np.int64]:
    """Return the places of about n rows that rank high by some draw, half of them for the front where that is known.

    For the score only the first `n_scored` rows are looked at.
    """
    scored = slice(n_scored)
    if tradeoffs is None or not tradeoffs.is_known:
        return model.promising(features[scored], rows[scored], n, N_DRAWS, rng)
    for_score = model.promising(features[scored], rows[scored], n // 2, N_DRAWS, rng)
    return np.union1d(for_score, tradeoffs.promising(features, n // 2, N_DRAWS, rng))
