"""Decisions: whose turn it is among the opened arms, the shortlist, and everything else."""

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.allocation import next_arm
from convergence_cluster.optimizers.answer import is_tried
from convergence_cluster.optimizers.arms import Arms, Proposal
from convergence_cluster.optimizers.candidates import Candidates
from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.mixtures import Elsewhere, Parts, joined, p_within
from convergence_cluster.optimizers.model import Model
from convergence_cluster.optimizers.schedule import Schedule
from convergence_cluster.optimizers.tradeoffs import Tradeoffs
from convergence_cluster.optimizers.worth import most_worth

GROWTH = 0.5
"""An arm has at most this part of the calls that it has had on their way at once."""
WORTH_SHARE = 0.6
"""Of the decisions that are given a leader, made by what calls are worth; the others draw."""

Floats = NDArray[np.float64]


class Choosing:
    """Chooses by arm id; beyond the opened arms come the places of the shortlist, then one for any other candidate.

    The leader has to be beaten by `margin`, a part of its score.
    """

    def __init__(
        self,
        arms: Arms,
        model: Model,
        candidates: Candidates,
        schedule: Schedule,
        evidence: Evidence,
        *,
        margin: float,
        with_worth: bool,
    ) -> None:
        self._arms = arms
        self._evidence = evidence
        self._model = model
        self._candidates = candidates
        self._schedule = schedule
        self._margin = margin
        self._worth_share = WORTH_SHARE if with_worth else 0.0

    def for_score(self, leader: int | None, rng: np.random.Generator) -> int | None:
        """Return what to call to find the highest score, or None if nothing is left; `leader` is an arm's id."""
        alive, more, free = self._callable()
        elsewhere = None
        parts = joined(self._arms.parts(alive), self._model.parts(self._candidates.prior))
        if self._candidates.n_left() > 0:
            elsewhere = self._model.deviations.elsewhere(self._candidates.n_left())
            parts = joined(parts, elsewhere.parts())
        able = np.concatenate([free, np.ones(parts.means.shape[1] - len(alive), dtype=bool)])
        first = None if leader is None else int(np.searchsorted(alive, leader))
        place = None
        if first is not None and rng.random() < self._worth_share:
            place = self._most_worth(parts, alive, first, able, elsewhere)
        if place is None:
            place = next_arm(parts, first, self._margin, able, rng, elsewhere=elsewhere)
        if place is None:
            place = next_arm(parts, first, self._margin, more, rng)
        return None if place is None else self._meant(place, alive)

    def for_front(self, tradeoffs: Tradeoffs, rng: np.random.Generator) -> int | None:
        """Return what to call for the sake of the whole front, or None if nothing is free."""
        alive, _, free = self._callable()
        able = alive[free]
        if len(able) + len(self._candidates.prior.means) == 0:
            return None
        return self._meant(tradeoffs.choose(able, self._arms.features, self._candidates.metrics, rng), able)

    def proposal(self, choice: int, rng: np.random.Generator) -> Proposal | None:
        """Return what a choice opens; None: it is an arm that is open."""
        place = choice - self._arms.n
        if place < 0:
            return None
        if place == len(self._candidates.prior.means):
            return self._candidates.take_any(rng)
        return self._candidates.take(place)

    def leader(self, broken: Floats) -> int | None:
        """Return the arm that would be recommended; the first arms break the bounds by so much, the others do not."""
        alive, counts = np.flatnonzero(self._arms.is_alive), self._evidence.counts
        broken = np.concatenate([broken, np.zeros(self._arms.n - len(broken))])
        known = counts[alive] > 0
        if not known.any():
            return None
        known &= is_tried(counts[alive], known)
        known &= broken[alive] <= broken[alive][known].min()
        return int(alive[np.where(known, self._arms.means[alive], -np.inf).argmax()])

    def certainty(self, best: int, rivals: NDArray[np.int64], within: float) -> float:
        """Return P(an arm is within the margin of the best of all), candidates that were never opened included."""
        parts = joined(self._arms.parts(rivals), self._model.parts(self._candidates.prior))
        elsewhere = self._model.deviations.elsewhere(self._candidates.n_left())
        return p_within(self._arms.parts(np.array([best])), parts, elsewhere, within)

    def _most_worth(
        self, parts: Parts, alive: NDArray[np.int64], first: int, able: NDArray[np.bool_], elsewhere: Elsewhere | None
    ) -> int | None:
        """Return the place of the rival of the leader, the `first` place, of which calls are worth most."""
        means, _ = parts.moments()
        variances = self._evidence.noise.expected(np.ones(len(means)), means)
        variances[: len(alive)] = self._evidence.call_variances(self._arms.means)[alive]
        chances = np.ones(len(means))
        if elsewhere is not None:
            chances[-1] = elsewhere.share
        rivals = able.copy()
        rivals[first] = False
        return most_worth(parts, float(means[first]) * (1.0 + self._margin), variances, rivals, chances)

    def _callable(self) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        alive = np.flatnonzero(self._arms.is_alive)
        more = self._schedule.left()[alive]
        free = more & (self._schedule.in_flight[alive] <= GROWTH * self._schedule.n_told[alive])
        return alive, more, free

    def _meant(self, place: int, arms: NDArray[np.int64]) -> int:
        return int(arms[place]) if place < len(arms) else self._arms.n + place - len(arms)
