"""Where arms that do not exist yet come from, and what the model expects of the most promising ones."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import Configuration, canonical_json
from convergence_cluster.optimizers.arms import Proposal
from convergence_cluster.optimizers.design import Design
from convergence_cluster.optimizers.evolution import BREEDING
from convergence_cluster.optimizers.genome import Codec, Rows
from convergence_cluster.optimizers.mixtures import Unlooked
from convergence_cluster.optimizers.model import Model
from convergence_cluster.optimizers.policy import OperatorPolicy, policy_context
from convergence_cluster.optimizers.surrogate import Prior, Told
from convergence_cluster.optimizers.tradeoffs import MetricPriors, Tradeoffs
from convergence_cluster.optimizers.unopened import Unopened

N_DRAWS = 16
"""Thompson draws of the model by which the shortlist is chosen."""
SHORTLIST = 256
N_BRED = 256
N_KEPT = 64
MAX_LISTED = 5000
"""Spaces of at most so many configurations are listed, larger ones are bred."""

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


class ListedCandidates:
    """Every configuration is listed; the shortlist are the unopened ones that some draw of the model ranks high."""

    def __init__(self, configurations: Sequence[Configuration], rows: Rows, design: Design) -> None:
        self._configurations = configurations
        self._rows = rows
        self._design = design
        self.features = design.features(rows)
        self._index = {canonical_json(configuration): k for k, configuration in enumerate(configurations)}
        self._is_taken = np.zeros(len(configurations), dtype=bool)
        self._n_left = len(configurations)
        self._short = np.zeros(0, dtype=np.int64)
        self.prior, self.metrics = NOTHING, NO_METRICS

    def refresh(
        self, model: Model, parents: Rows, rng: np.random.Generator, tradeoffs: Tradeoffs | None = None
    ) -> None:
        """Choose the shortlist anew; the parents do not matter."""
        del parents
        left = np.flatnonzero(~self._is_taken)
        if len(left) > SHORTLIST:
            left = left[_promising(model, tradeoffs, self.features[left], self._rows[left], SHORTLIST, rng)]
        self._short = left
        self.prior = model.expected(self.features[left], self._rows[left])
        self.metrics = _in_metrics(tradeoffs, self.features[left])

    def take(self, place: int) -> Proposal:
        """Remove one of the shortlist, for it becomes an arm."""
        return self._take(int(self._short[place]), "pool")

    def n_left(self) -> int:
        """Return how many configurations are not opened."""
        return self._n_left

    def rest(self, model: Model) -> Unlooked:
        """Return what is expected of the odd ones among those not opened."""
        return model.deviations.elsewhere(self._n_left)

    def take_any(self, rng: np.random.Generator) -> Proposal:
        """Remove any one of them."""
        return replace(self._take(int(rng.choice(np.flatnonzero(~self._is_taken))), "pool"), is_guess=True)

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

    def _take(self, k: int, operator: str) -> Proposal:
        self._is_taken[k] = True
        self._n_left -= 1
        keep = self._short != k
        self._short, self.prior, self.metrics = self._short[keep], self.prior.only(keep), self.metrics.only(keep)
        return Proposal(
            configuration=self._configurations[k], features=self.features[k], operator=operator, row=self._rows[k]
        )


class BredCandidates:
    """The space is too large to list.

    The shortlist are children of good arms that some draw of the model ranks high.
    """

    def __init__(self, codec: Codec, design: Design, policy: OperatorPolicy, *, is_breeding: bool = True) -> None:
        self._codec = codec
        self._design = design
        self._policy = policy
        self._is_breeding = is_breeding
        self._taken: set[str] = set()
        self._unopened = Unopened(codec, design)
        self._proposals: list[Proposal] = []
        self.features = np.zeros((0, 1 + sum(design.widths)))
        unordered = [not gene.is_real and gene.places is None for gene in codec.genes]
        self._share_categorical = float(np.mean(unordered)) if unordered else 0.0
        self.prior, self.metrics = NOTHING, NO_METRICS

    def redesign(self) -> None:
        """Drop proposals with features of the former design."""
        self._proposals, self.prior, self.metrics = [], NOTHING, NO_METRICS
        self.features = np.zeros((0, 1 + sum(self._design.widths)))
        self._unopened.redesign()

    def context(self) -> Floats:
        """Return the policy's context as it is now."""
        return policy_context(len(self._taken), self._share_categorical)

    def refresh(
        self, model: Model, parents: Rows, rng: np.random.Generator, tradeoffs: Tradeoffs | None = None
    ) -> None:
        """Breed, and choose the shortlist anew."""
        rows, operators = self._bred(parents, rng)
        features = self._design.features(rows)
        everything = np.arange(len(rows))
        kept = _promising(model, tradeoffs, features, rows, N_KEPT, rng) if len(rows) > N_KEPT else everything
        chosen = self._new(rows, kept) or self._new(rows, everything)
        self._proposals = [
            Proposal(configuration=configuration, features=features[k], operator=operators[k], row=rows[k])
            for k, configuration in chosen.items()
        ]
        chosen_rows = list(chosen)
        self.prior = model.expected(features[chosen_rows], rows[chosen_rows])
        self.metrics = _in_metrics(tradeoffs, features[chosen_rows])

    def take(self, place: int) -> Proposal:
        """Remove one of the shortlist, for it becomes an arm."""
        proposal = self._proposals.pop(place)
        self._forget(place)
        self._taken.add(canonical_json(proposal.configuration))
        self._unopened.take(proposal.row)
        return proposal

    def n_left(self) -> int:
        """Return 0: what was not bred cannot be counted."""
        return 0

    def rest(self, model: Model) -> Unlooked:
        """Return what the model expects of those not opened."""
        return self._unopened.rest(model)

    def take_any(self, rng: np.random.Generator) -> Proposal:
        """Remove any one of the shortlist."""
        return self.take(int(rng.integers(len(self._proposals))))

    def claim(self, configuration: Configuration) -> Proposal | None:
        """Return the proposal of a configuration from elsewhere, or None if it is taken already."""
        key = canonical_json(configuration)
        if key in self._taken:
            return None
        self._taken.add(key)
        for place, proposal in enumerate(self._proposals):
            if canonical_json(proposal.configuration) == key:
                del self._proposals[place]
                self._forget(place)
                break
        row = self._codec.encode([configuration])
        self._unopened.take(row[0])
        return Proposal(configuration=configuration, features=self._design.features(row)[0], operator="", row=row[0])

    def _new(self, rows: Rows, places: NDArray[np.int64]) -> dict[int, Configuration]:
        """Return the configurations of the rows at these places that are not taken, each once, by place."""
        found: dict[str, tuple[int, Configuration]] = {}
        for k in places.tolist():
            configuration = self._codec.decode(rows[k])
            key = canonical_json(configuration)
            if key not in self._taken:
                found.setdefault(key, (k, configuration))
        return dict(found.values())

    def _forget(self, place: int) -> None:
        keep = np.arange(len(self.prior.means)) != place
        self.prior, self.metrics = self.prior.only(keep), self.metrics.only(keep)

    def _bred(self, parents: Rows, rng: np.random.Generator) -> tuple[Rows, list[str]]:
        shares = {"random": N_BRED}
        if len(parents) > 1 and self._is_breeding:
            shares = self._policy.shares(self.context(), N_BRED, rng)
        parts, operators = [], []
        for name, n in shares.items():
            if n > 0:
                parts.append(BREEDING[name](self._codec, parents, n, rng))
                operators += [name] * n
        rows = self._codec.repair(np.concatenate(parts), rng)
        _, first = np.unique(np.nan_to_num(rows, nan=-1.0), axis=0, return_index=True)
        first.sort()
        return rows[first], [operators[k] for k in first]


def _in_metrics(tradeoffs: Tradeoffs | None, features: Floats) -> MetricPriors:
    if tradeoffs is None:
        return MetricPriors(means=np.zeros((len(features), 0)), variances=np.zeros((len(features), 0)))
    return tradeoffs.expected(features)


def _promising(  # noqa: PLR0917  two callers, all needed
    model: Model, tradeoffs: Tradeoffs | None, features: Floats, rows: Rows, n: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    if tradeoffs is None or not tradeoffs.is_known:
        return model.promising(features, rows, n, N_DRAWS, rng)
    for_score = model.promising(features, rows, n // 2, N_DRAWS, rng)
    return np.union1d(for_score, tradeoffs.promising(features, n // 2, N_DRAWS, rng))


def listed(codec: Codec, candidates: Sequence[Configuration] | None) -> tuple[list[Configuration], Rows] | None:
    """Return every distinct configuration of a finite space with its row, or None if there are too many to list."""
    if candidates is not None:
        distinct = list({canonical_json(candidate): candidate for candidate in candidates}.values())
        return distinct, codec.encode(distinct)
    rows = codec.enumerate(MAX_LISTED)
    return None if rows is None else ([codec.decode(row) for row in rows], rows)


def candidates_of(
    codec: Codec,
    given: Sequence[Configuration] | None,
    policy: OperatorPolicy,
    *,
    is_modelled: bool,
    is_breeding: bool,
) -> tuple[Design, Candidates]:
    """Return the features of a space and where its new arms come from: a list where it is small, else breeding."""
    found = listed(codec, given)
    design = Design(codec, found[1] if found else None, is_useful=is_modelled)
    if found:
        return design, ListedCandidates(*found, design)
    return design, BredCandidates(codec, design, policy, is_breeding=is_breeding)


def foreign(codec: Codec, design: Design, configuration: Configuration) -> Proposal:
    """Return the proposal of a configuration that is not among the candidates, such as a pool's baseline."""
    row = codec.encode([configuration])
    return Proposal(configuration=configuration, features=design.features(row)[0], operator="", row=row[0])
