"""Decisions: whose turn it is among the opened arms, the shortlist, and everything else."""

import math

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
"""An arm has at most this part of the calls that it has had on their way at once, or `MAX_AHEAD`."""
MAX_AHEAD = 3
"""Calls on their way with which an arm that has had any may get more: else many workers wait for its first few."""
MAX_TRIED = 4
"""Cases that an arm must have had to be the answer where scores are noisy: one lucky call is none."""
RELIABLE = 2.0
"""The variance between arms over that of the error of an answer's mean, at least."""
MAX_FIRST, MAX_BLIND = 4, 2
"""Cases that a new arm gets at most, and before anything was told: there more arms say more than more cases."""
N_PILOTS = 4
"""The first arms get `MAX_FIRST` cases whatever is believed, so that noise and case effects can be told apart."""
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
        known &= is_tried(counts[alive], known, self.enough())
        known &= broken[alive] <= broken[alive][known].min()
        return int(alive[np.where(known, self._arms.means[alive], -np.inf).argmax()])

    def enough(self) -> int:
        """Return how many cases an arm must have had to be the answer: fewer where a call says nearly all."""
        error = self._call_variance(self._model.deviations.centre) + self._model.interplay.usual
        return min(max(math.ceil(RELIABLE * error / float(self._model.deviations.spread)), 1), MAX_TRIED)

    def first_size(self, arm: int, expected: float, *, is_guess: bool) -> int:
        """Return how many cases a new arm of this expected score gets."""
        if is_guess:
            return 1
        if arm < N_PILOTS:
            return MAX_FIRST
        most = MAX_FIRST if self._evidence.n_calls > 0 else MAX_BLIND
        return min(max(round(self._call_variance(expected) / float(self._arms.variances[arm])), 1), most)

    def certainty(self, best: int, rivals: NDArray[np.int64], within: float) -> float:
        """Return P(an arm is within the margin of the best of all), candidates that were never opened included."""
        parts = joined(self._arms.parts(rivals), self._model.parts(self._candidates.prior))
        rest = self._candidates.rest(self._model)
        return p_within(self._arms.parts(np.array([best])), parts, rest, within)

    def _call_variance(self, mean: float) -> float:
        """Return the variance of one call of an arm that has none, the case's effect included."""
        noise = self._evidence.noise.expected(np.zeros(1), np.array([mean]))[0]
        return float(noise) + self._evidence.effects.variance

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
        told = self._schedule.n_told[alive]
        most = np.where(told > 0, np.maximum(GROWTH * told, MAX_AHEAD), 0)
        free = more & (self._schedule.in_flight[alive] <= most)
        return alive, more, free

    def _meant(self, place: int, arms: NDArray[np.int64]) -> int:
        return int(arms[place]) if place < len(arms) else self._arms.n + place - len(arms)
