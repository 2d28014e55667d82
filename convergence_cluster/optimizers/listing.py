"""New arms of a space that is small enough to list."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import Configuration, canonical_json
from convergence_cluster.optimizers.arms import Proposal
from convergence_cluster.optimizers.candidates import NO_METRICS, NOTHING, in_metrics, promising
from convergence_cluster.optimizers.design import Design
from convergence_cluster.optimizers.genome import Codec, Rows
from convergence_cluster.optimizers.mixtures import Unlooked
from convergence_cluster.optimizers.model import Model
from convergence_cluster.optimizers.policy import policy_context
from convergence_cluster.optimizers.tradeoffs import Tradeoffs

Floats = NDArray[np.float64]

SHORTLIST = 256
MAX_LISTED = 5000
"""Spaces of at most so many configurations are listed, larger ones are bred."""


class ListedCandidates:
    """Every configuration is listed; the shortlist are the unopened ones that some draw of the model ranks high."""

    def __init__(self, configurations: Sequence[Configuration], rows: Rows, design: Design) -> None:
        self._configurations = configurations
        self._rows = rows
        self._design = design
        self.features = design.features(rows)
        self._index = {canonical_json(configuration): k for k, configuration in enumerate(configurations)}
        self._is_taken = np.zeros(len(configurations), dtype=bool)
        self._may_run = np.ones(len(configurations), dtype=bool)
        self._short = np.zeros(0, dtype=np.int64)
        self.prior, self.metrics = NOTHING, NO_METRICS

    def refresh(
        self, model: Model, parents: Rows, rng: np.random.Generator, tradeoffs: Tradeoffs | None = None
    ) -> None:
        """Choose the shortlist anew; the parents do not matter."""
        del parents
        self._may_run = model.feasibility.drawn(self.features, rng)
        left = self._left()
        if len(left) > SHORTLIST:
            left = left[promising(model, tradeoffs, self.features[left], self._rows[left], rng, n=SHORTLIST)]
        self._short = left
        self.prior = model.expected(self.features[left], self._rows[left])
        self.metrics = in_metrics(tradeoffs, self.features[left])

    def take(self, place: int) -> Proposal:
        """Remove one of the shortlist, for it becomes an arm."""
        return self._take(int(self._short[place]), "pool")

    def n_left(self) -> int:
        """Return how many configurations are not opened and may run."""
        return len(self._left())

    def rest(self, model: Model) -> Unlooked:
        """Return what is expected of the odd ones among those not opened."""
        return model.deviations.elsewhere(self.n_left())

    def take_any(self, rng: np.random.Generator) -> Proposal:
        """Remove any one of them."""
        return replace(self._take(int(rng.choice(self._left())), "pool"), is_guess=True)

    def claim(self, configuration: Configuration) -> Proposal | None:
        """Return the proposal of a configuration from elsewhere, or None if it is not listed or taken already."""
        k = self._index.get(canonical_json(configuration))
        return None if k is None or self._is_taken[k] else self._take(k, "")

    def redesign(self) -> None:
        """Compute all features anew."""
        self.features = self._design.features(self._rows)

    def context(self) -> Floats:
        """Return the operator policy's context; no operator is at work here."""
        return policy_context(0, 0.0)

    def _left(self) -> NDArray[np.int64]:
        return np.flatnonzero(~self._is_taken & self._may_run)

    def _take(self, k: int, operator: str) -> Proposal:
        self._is_taken[k] = True
        keep = self._short != k
        self._short, self.prior, self.metrics = self._short[keep], self.prior.only(keep), self.metrics.only(keep)
        return Proposal(
            configuration=self._configurations[k], features=self.features[k], operator=operator, row=self._rows[k]
        )


def listed(codec: Codec, candidates: Sequence[Configuration] | None) -> tuple[list[Configuration], Rows] | None:
    """Return every distinct configuration of a finite space with its row, or None if there are too many to list."""
    if candidates is not None:
        distinct = list({canonical_json(candidate): candidate for candidate in candidates}.values())
        return distinct, codec.encode(distinct)
    rows = codec.enumerate(MAX_LISTED)
    return None if rows is None else ([codec.decode(row) for row in rows], rows)
