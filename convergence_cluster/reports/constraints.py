"""Which of the study's bounds a configuration breaks, in words and as JSON."""

from dataclasses import dataclass

from convergence_cluster.domain.identity import Json
from convergence_cluster.domain.search import ArmEstimate, broken_bound
from convergence_cluster.reports.records import MetricDefinition, StudyReport
from convergence_cluster.reports.wording import printable, quantity

BROKEN = "THE ANSWER BREAKS A CONSTRAINT"


@dataclass(frozen=True, kw_only=True, slots=True)
class Breach:
    """A metric whose mean lies beyond one of its bounds."""

    metric: MetricDefinition
    mean: float
    bound: float

    @property
    def words(self) -> str:
        """Return what is and what may be."""
        limit = "most" if self.mean > self.bound else "least"
        shown, allowed = quantity(self.mean, self.metric.unit), quantity(self.bound, self.metric.unit)
        if shown == allowed:
            shown = f"{shown} and a little {'more' if self.mean > self.bound else 'less'}"
        return f"{printable(self.metric.name)} is {shown}, at {limit} {allowed} allowed"


def breaches(report: StudyReport, arm: ArmEstimate | None) -> tuple[Breach, ...]:
    """Return the bounds that an arm's means do not keep, in the order of the metrics."""
    if arm is None or arm.is_feasible:
        return ()
    found = []
    for metric, value in zip(report.metrics, arm.objectives, strict=False):
        bound = broken_bound(value.mean, low=metric.low, high=metric.high)
        if bound is not None:
            found.append(Breach(metric=metric, mean=value.mean, bound=bound))
    return tuple(found)


def breach_mark(arm: ArmEstimate) -> str:
    """Return what stands behind a configuration of a list that breaks a constraint; nothing where it keeps all."""
    return "" if arm.is_feasible else " (breaks a constraint)"


def breach_words(report: StudyReport) -> str | None:
    """Return which bounds the answer breaks; None where it keeps all, or there is none."""
    best = report.recommendation.best
    if best is None or best.is_feasible:
        return None
    return "; ".join(breach.words for breach in breaches(report, best)) or "a metric lies beyond its bound"


def breach_facts(report: StudyReport) -> Json:
    """Return the bounds that the answer breaks as a JSON value: empty where it keeps all."""
    return [
        {
            "metric": breach.metric.name,
            "mean": breach.mean,
            "max" if breach.mean > breach.bound else "min": breach.bound,
            "excess": abs(breach.mean - breach.bound),
        }
        for breach in breaches(report, report.recommendation.best)
    ]
