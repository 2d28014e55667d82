"""New arms of a space that is too large to list."""

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import Configuration, canonical_json
from convergence_cluster.optimizers.arms import Proposal
from convergence_cluster.optimizers.candidates import NO_METRICS, NOTHING, in_metrics, promising
from convergence_cluster.optimizers.design import Design
from convergence_cluster.optimizers.evolution import BREEDING
from convergence_cluster.optimizers.genome import Codec, Rows
from convergence_cluster.optimizers.mixtures import Unlooked
from convergence_cluster.optimizers.model import Model
from convergence_cluster.optimizers.policy import OperatorPolicy, policy_context
from convergence_cluster.optimizers.tradeoffs import Tradeoffs
from convergence_cluster.optimizers.unopened import Unopened

Floats = NDArray[np.float64]

N_BRED = 256
"""Children of good arms, and some uniform draws."""
N_RANDOM = 1024
"""Uniform draws beside them, where levels without order make many separate hills."""
N_KEPT = 64
_FLAG = 2
"""Levels of a flag, whose order does not matter."""
SHARE_BRED = 0.5
"""Of the shortlists there, with children: many near-copies of a good arm crowd out what the model knows less of, for
one of them always looks lucky."""
FIRST_BRED = 200
"""Arms opened there before there are children for the score: which hill is best should be known before one is climbed.
"""


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
        self._has_hills = any(g.levels is not None and g.places is None and len(g.levels) > _FLAG for g in codec.genes)
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
        """Draw or breed, and choose the shortlist anew."""
        is_bred = self._is_breeding and len(parents) > 1 and not (self._has_hills and rng.random() >= SHARE_BRED)
        for_score = is_bred and (not self._has_hills or len(self._taken) >= FIRST_BRED)
        for_front = is_bred and tradeoffs is not None and tradeoffs.is_known
        rows, operators = self._bred(parents, rng, with_children=for_score or for_front)
        features = self._design.features(rows)
        may_run = model.feasibility.drawn(features, rng)
        if may_run.any() and not may_run.all():
            rows, features = rows[may_run], features[may_run]
            operators = [operator for operator, is_kept in zip(operators, may_run, strict=True) if is_kept]
        everything = np.arange(len(rows))
        n_scored = len(rows) if for_score else operators.count("random")
        kept = everything
        if n_scored > N_KEPT:
            kept = promising(model, tradeoffs, features, rows, rng, n=N_KEPT, n_scored=n_scored)
        chosen = self._new(rows, kept) or self._new(rows, everything)
        self._proposals = [
            Proposal(configuration=configuration, features=features[k], operator=operators[k], row=rows[k])
            for k, configuration in chosen.items()
        ]
        chosen_rows = list(chosen)
        self.prior = model.expected(features[chosen_rows], rows[chosen_rows])
        self.metrics = in_metrics(tradeoffs, features[chosen_rows])

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

    def _bred(self, parents: Rows, rng: np.random.Generator, *, with_children: bool) -> tuple[Rows, list[str]]:
        """Return distinct rows and what proposed each: uniform draws first, then children of the parents, if any."""
        shares = {"random": N_BRED}
        if with_children:
            shares = dict(self._policy.shares(self.context(), N_BRED, rng))
        if self._has_hills:
            shares["random"] += N_RANDOM
        parts, operators = [], []
        for name, n in shares.items():
            if n > 0:
                parts.append(BREEDING[name](self._codec, parents, n, rng))
                operators += [name] * n
        rows = self._codec.repair(np.concatenate(parts), rng)
        _, first = np.unique(np.nan_to_num(rows, nan=-1.0), axis=0, return_index=True)
        first.sort()
        return rows[first], [operators[k] for k in first]
