"""Decisions: whose turn it is among the opened arms, the shortlist, and everything else."""

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.optimizers.allocation import next_arm
from convergence_cluster.optimizers.answer import is_tried
from convergence_cluster.optimizers.arms import Arms, Proposal
from convergence_cluster.optimizers.candidates import Candidates
from convergence_cluster.optimizers.mixtures import joined, p_within
from convergence_cluster.optimizers.model import Model
from convergence_cluster.optimizers.schedule import Schedule
from convergence_cluster.optimizers.tradeoffs import Tradeoffs

GROWTH = 0.5
"""An arm has at most this part of the calls that it has had on their way at once."""

Floats = NDArray[np.float64]


class Choosing:
    """Chooses by arm id; beyond the opened arms come the places of the shortlist, then one for any other candidate."""

    def __init__(self, arms: Arms, model: Model, candidates: Candidates, schedule: Schedule, margin: float) -> None:
        self._arms = arms
        self._model = model
        self._candidates = candidates
        self._schedule = schedule
        self._margin = margin

    def for_score(self, leader: int | None, rng: np.random.Generator) -> int | None:
        """Return what to call to find the highest score, or None if nothing is left; `leader` is an arm's id."""
        alive, more, free = self._callable()
        elsewhere = None
        parts = joined(self._arms.parts(alive), self._model.parts(self._candidates.prior))
        if self._candidates.n_left() > 0:
            elsewhere = self._model.deviations.elsewhere(self._candidates.n_left())
            parts = joined(parts, elsewhere.parts())
        unopened = np.ones(parts.means.shape[1] - len(alive), dtype=bool)
        first = None if leader is None else int(np.searchsorted(alive, leader))
        place = next_arm(parts, first, self._margin, np.concatenate([free, unopened]), rng, elsewhere=elsewhere)
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

    def leader(self, counts: Floats, broken: Floats) -> int | None:
        """Return the arm that would be recommended, from every arm's cases and by how much it breaks the bounds."""
        alive = np.flatnonzero(self._arms.is_alive)
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

    def _callable(self) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        alive = np.flatnonzero(self._arms.is_alive)
        more = self._schedule.left()[alive]
        free = more & (self._schedule.in_flight[alive] <= GROWTH * self._schedule.n_told[alive])
        return alive, more, free

    def _meant(self, place: int, arms: NDArray[np.int64]) -> int:
        return int(arms[place]) if place < len(arms) else self._arms.n + place - len(arms)
