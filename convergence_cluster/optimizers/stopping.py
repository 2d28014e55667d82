"""When enough is known."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.search import ArmState, SearchProblem, StopReason
from convergence_cluster.optimizers.answer import best_arm
from convergence_cluster.optimizers.arms import Arms
from convergence_cluster.optimizers.belief import Belief
from convergence_cluster.optimizers.schedule import Schedule

Certainty: TypeAlias = Callable[[int, NDArray[np.int64], float], float]
"""From the best arm, its rivals and a margin to P(the best is within the margin of the best of all)."""

ROUND = 4
"""Calls per member of the population in a round, by which patience is counted: a first block for each."""
DEFAULT_POPULATION = 20
MIN_TOLD = 8
MIN_CASES = 4
"""Cases of the answer, or as many as there are: fewer may be a single outlier, whatever they seem to prove."""
OWN_DOUBT = 0.5
"""Of the doubt that a study allows, left for what the beliefs do not know of; without it one stop in nine was wrong on
the worst three of nine made-up tables unlike those that the search was made on, where one in twenty was allowed."""


class StoppingRule:
    """Certainty and patience. Budgets are held elsewhere."""

    def __init__(self, problem: SearchProblem) -> None:
        self._stopping = problem.stopping
        population = problem.settings.get("evolution", {}).get("population_size", DEFAULT_POPULATION)
        self._round = ROUND * int(population)
        self._record = 0.0
        self._record_at = 0
        self._p_within = 0.0
        self.reason: StopReason | None = None
        """Why to stop, as last judged: what comes later may undo it."""

    @property
    def is_certain(self) -> bool:
        """Say whether the answer is as sure as the study asks."""
        return self._p_within >= self._stopping.confidence

    def judge(self, belief: Belief, certainty: Certainty, *, n_told: int) -> None:
        """Decide whether enough is known, candidates not opened included; without an answer nothing changes."""
        best = best_arm(belief)
        if best is None:
            return
        within, self._p_within = self._stopping.within, 0.0
        if not is_hopeless(belief, best, within, self._stopping.confidence):
            rivals = np.flatnonzero(belief.rivals(best))
            self._p_within = certainty(best, rivals[rivals != best], within)
        self.reason = self.verdict(n_told=n_told, incumbent=float(belief.means[best]), p_within=self._p_within)

    def verdict(self, *, n_told: int, incumbent: float, p_within: float) -> StopReason | None:
        """Return why to stop now, or None."""
        if not self._stopping.enabled or n_told < MIN_TOLD:
            return None
        if p_within >= 1.0 - OWN_DOUBT * (1.0 - self._stopping.confidence):
            return StopReason.CERTAIN
        if incumbent > self._record * (1.0 + self._stopping.min_improvement):
            self._record, self._record_at = incumbent, n_told
        patience = self._stopping.patience
        if patience is not None and n_told - self._record_at >= patience * self._round:
            return StopReason.PATIENCE
        return None


def is_hopeless(belief: Belief, best: int, within: float, confidence: float) -> bool:
    """Say whether no certainty is near.

    The best breaks a bound or has had few cases, or a single arm is likely enough to beat it by the margin: one
    standard deviation of the difference leaves a chance of 16 %. Cheaper than `chances`.

    An arm that hardly ever fails needs more cases: what never failed in n may fail in 3 of n all the same. Source:
    Hanley & Lippman-Hand 1983, "If nothing goes wrong, is everything all right?".
    """
    enough = MIN_CASES
    if belief.means[best] > 1.0 - 2.0 * within:
        enough = max(enough, math.ceil(math.log(1.0 / max(1.0 - confidence, 1e-9)) / max(within, 1e-9)))
    if belief.broken[best] > 0.0 or belief.n_cases[best] < min(enough, belief.n_cases_in_all):
        return True
    gap = belief.means[best] / max(1.0 - within, 1e-9) - belief.means
    spread = np.sqrt(belief.variances + belief.variances[best])
    rivals = belief.rivals(best)
    rivals[best] = False
    return confidence > 1.0 - 0.15 and bool((gap < spread)[rivals].any())


def best_beaten(arms: Arms, schedule: Schedule) -> int | None:
    """Return the best beaten arm with calls left, for a study that is to go on until nothing is left at all."""
    left = [arm for arm, state in enumerate(arms.states) if state is ArmState.DEAD and schedule.has_more(arm)]
    return max(left, key=lambda arm: float(arms.means[arm]), default=None)


def ending(states: Sequence[ArmState], *, is_certain: bool) -> StopReason:
    """Return why nothing is left to ask for: what is left was beaten, or had all its calls."""
    if all(state is ArmState.OUT for state in states):
        return StopReason.NO_FEASIBLE
    return StopReason.CERTAIN if is_certain else StopReason.EXHAUSTED
