"""From durable outcomes to what the search is told: scales fixed once, scores, raw objectives."""

from collections.abc import Mapping, Sequence
from statistics import fmean, median

from convergence_cluster.coordinator.protocols import Objectives
from convergence_cluster.domain.calls import CallOutcome, OutcomeKind
from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import Objective, Observation

_NO_SCALE = 1.0


class Observer:
    """Turns outcomes into observations once every scale is known."""

    def __init__(self, objectives: Objectives, watched: Sequence[Objective]) -> None:
        self._objectives = objectives
        self._watched = tuple(objective.name for objective in watched)
        self.is_calibrated = not objectives.unscaled()

    def calibrate(self, scales: Mapping[str, float]) -> None:
        """Fix the scales for good."""
        self._objectives.calibrate(scales)
        self.is_calibrated = True

    def fix_scales(self, outcomes: Sequence[CallOutcome], *, baseline: ArmId) -> Mapping[str, float] | None:
        """Fix the scales by the baseline's calls among these, else by all; return them, or None where one has none."""
        scales = self.measure_scales([outcome for outcome in outcomes if outcome.call.arm == baseline])
        scales = scales or self.measure_scales(outcomes)
        if scales is not None:
            self.calibrate(scales)
        return scales

    def measure_scales(self, outcomes: Sequence[CallOutcome]) -> Mapping[str, float] | None:
        """Return the median of every unscaled metric over the outcomes that have it, or None while one has none."""
        scales = {}
        for name in self._objectives.unscaled():
            values = [o.metrics[name] for o in outcomes if name in o.metrics]
            if not values:
                return None
            scales[name] = median(values) or fmean(values) or _NO_SCALE
        return scales

    def score(self, outcome: CallOutcome) -> float | None:
        """Return the score of an outcome that has metrics, None for any other."""
        return self._objectives.score(outcome.metrics) if outcome.is_scored else None

    def observe(self, outcome: CallOutcome) -> Observation:
        """Return what the search learns from one finished call: to it, whatever has a score is fine."""
        return Observation(
            arm=outcome.call.arm,
            case=outcome.call.case,
            repeat=outcome.call.repeat,
            kind=OutcomeKind.OK if outcome.is_scored else outcome.kind,
            score=self.score(outcome),
            objectives=tuple(outcome.metrics[name] for name in self._watched) if outcome.is_scored else (),
            cost=1.0 if outcome.cost_usd is None else outcome.cost_usd + (outcome.scoring_usd or 0.0),
        )
