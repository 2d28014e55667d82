"""What is believed of the opened arms, put together for answers and for stopping."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import ArmState, Objective
from convergence_cluster.optimizers.arms import Arms
from convergence_cluster.optimizers.constraints import surely_broken, violation
from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.front import MetricMeans
from convergence_cluster.optimizers.optimism import Optimism
from convergence_cluster.optimizers.schedule import Schedule

Floats = NDArray[np.float64]

_DOUBTFUL = 2.0
"""Standard deviations beyond a bound up to which an arm may yet keep it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Belief:
    """What is believed of the opened arms, index = arm id; normal and independent given the level common to all."""

    means: Floats
    variances: Floats
    level_variances: Floats
    """Of an error that all arms share: the cases nobody has seen."""
    shifts: Floats
    """What to add to the mean of an arm that looks good, in its standard deviations."""
    shift_variance: float
    """How uncertain that is."""
    call_variances: Floats
    n_calls: NDArray[np.int64]
    n_cases: NDArray[np.int64]
    n_cases_in_all: int
    enough: int
    """Cases that an arm must have had to be recommended, where any arm has had as many."""
    states: Sequence[ArmState]
    configurations: Sequence[Configuration]
    operators: Sequence[str]
    metrics: MetricMeans
    objectives: Sequence[Objective]
    """Of the metrics, with their bounds; none where the metrics do not matter."""
    reach: Floats | None = None
    """What is sure of every arm in every metric, more being better, shape (n_arms, n_objectives); nan: nothing.

    None: the arms' own means decide which are on the front.
    """

    @property
    def runs(self) -> NDArray[np.bool_]:
        """Whether each arm can run and has a score."""
        return np.array([state is not ArmState.OUT for state in self.states], dtype=bool) & (self.n_cases > 0)

    @property
    def broken(self) -> Floats:
        """By how much each arm breaks the bounds; see `violation`."""
        return np.nan_to_num(violation(self.metrics.means, self.objectives))

    def rivals(self, best: int) -> NDArray[np.bool_]:
        """Say of each arm whether it could be the answer in place of `best`: it runs, and may keep the bounds as well.

        `best` is one of them.
        """
        broken = self.broken
        may_keep = ~surely_broken(self.metrics, self.objectives, _DOUBTFUL)
        return np.asarray(self.runs & ((broken <= broken[best]) | may_keep))

    def reported(self, arm: int, best: int) -> tuple[float, float]:
        """Return mean and variance of an arm as they are reported beside the best one.

        An arm that comes within a standard deviation of the best has its usual disappointment taken off. None that is
        believed to be lower than the best is reported above it for having less taken off.
        """
        mean, variance = self._shifted(arm, best)
        if self.means[arm] <= self.means[best]:
            mean = min(mean, self._shifted(best, best)[0])
        return mean, variance

    def _shifted(self, arm: int, best: int) -> tuple[float, float]:
        mean, variance = float(self.means[arm]), float(self.variances[arm])
        if mean < float(self.means[best]) - float(self.variances[best]) ** 0.5:
            return mean, variance
        mean += float(self.shifts[arm]) * variance**0.5
        return min(max(mean, 0.0), 1.0), variance * (1.0 + self.shift_variance)


def believed(
    arms: Arms,
    evidence: Evidence,
    schedule: Schedule,
    optimism: Optimism,
    *,
    enough: int,
    spread: float,
    metrics: MetricMeans,
    objectives: Sequence[Objective],
    reach: Floats | None,
) -> Belief:
    """Return what is believed now; later calls do not change it. `spread` is the variance between arms."""
    return Belief(
        means=arms.means.copy(),
        variances=arms.variances.copy(),
        level_variances=evidence.level_variances(arms.means),
        shifts=optimism.shifts((arms.variances / spread) ** 0.5),
        shift_variance=optimism.variance,
        call_variances=evidence.call_variances(arms.means),
        n_calls=schedule.n_told.copy(),
        n_cases=evidence.counts.astype(np.int64),
        n_cases_in_all=len(evidence.weights),
        enough=enough,
        states=tuple(arms.states),
        configurations=tuple(arms.configurations),
        operators=tuple(birth.operator for birth in arms.births),
        metrics=metrics,
        objectives=objectives,
        reach=reach,
    )
