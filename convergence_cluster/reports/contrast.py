"""The recommended configuration beside the baseline, metric by metric, on the cases both ran."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import ArmEstimate, Direction, Interval
from convergence_cluster.reports.intervals import NOISE, bounded, mean_interval, settled
from convergence_cluster.reports.ranges import possible
from convergence_cluster.reports.records import MetricDefinition, ScoredCall, StudyReport
from convergence_cluster.reports.tally import COST, LATENCY, Tally, measured
from convergence_cluster.reports.wording import UNKNOWN, excludes_zero, finite, percent, quantity, signed


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """One metric of two arms."""

    name: str
    unit: str
    direction: Direction
    best: Interval | None
    baseline: Interval | None
    change: Interval | None
    """Best minus baseline: mean of the per-case differences; None without a common case."""
    reference: float | None
    """The baseline's mean on the common cases, of which the change is a share."""
    n_common: int

    @property
    def is_better(self) -> bool | None:
        """Whether the change is for the better; None where it is not distinguishable from none."""
        if self.change is None or not excludes_zero(self.change):
            return None
        return (self.change.mean > 0) is (self.direction is Direction.MAXIMIZE)


def contrasts(report: StudyReport, counts: Tally) -> tuple[Contrast, ...]:
    """Return every metric of the study, then cost and latency where no metric has them; empty without an answer."""
    best, baseline = report.recommendation.best, report.recommendation.baseline
    if best is None:
        return ()
    other = baseline if baseline is not None and baseline.arm != best.arm else None
    return tuple(_contrast(report, counts, i, (best, other)) for i in range(len(_with_costs(report.metrics))))


def verdict(change: Interval | None, reference: float | None, unit: str = "", *, decimals: int | None = None) -> str:
    """Return a change in words, with its interval where that is wider: `up 23 % (+0.17, +0.15 to +0.19)`."""
    if change is None or finite(change.mean) is None:
        return "no common case"
    if finite(change.low) is None or finite(change.high) is None:
        return "one common case: too few to say"
    if change.low == change.high == 0:
        return "no difference"
    bare = "usd" if unit == "usd" else ""
    low, mean, high = (signed(end, bare, decimals=decimals) for end in (change.low, change.mean, change.high))
    figures = signed(change.mean, unit, decimals=decimals) + ("" if low == mean == high else f", {low} to {high}")
    if not excludes_zero(change):
        return f"not distinguishable ({figures})"
    word = "up" if change.mean > 0 else "down"
    relative = finite(change.mean / reference) if reference and abs(reference) > NOISE * abs(change.mean) else None
    return f"{word} {percent(abs(relative))} ({figures})" if relative is not None else f"{word} ({figures})"


def case_means(calls: Mapping[int, list[ScoredCall]], value: Callable[[ScoredCall], float | None]) -> dict[int, float]:
    """Return the mean of a value per case, over the repeats where it is known."""
    means: dict[int, float] = {}
    for case, drawn in calls.items():
        known = [v for v in (finite(value(call)) for call in drawn) if v is not None]
        if known:
            means[case] = sum(known) / len(known)
    return means


def _with_costs(metrics: tuple[MetricDefinition, ...]) -> tuple[MetricDefinition, ...]:
    named = {metric.name for metric in metrics}
    extra = (
        MetricDefinition(name=COST, weight=0.0, direction=Direction.MINIMIZE, unit="usd"),
        MetricDefinition(name=LATENCY, weight=0.0, direction=Direction.MINIMIZE, unit="ms"),
    )
    return metrics + tuple(metric for metric in extra if metric.name not in named)


def _contrast(report: StudyReport, counts: Tally, index: int, arms: tuple[ArmEstimate, ArmEstimate | None]) -> Contrast:
    metric, (best, baseline) = _with_costs(report.metrics)[index], arms
    ours = _means(counts, best.arm, metric.name)
    theirs = {} if baseline is None else _means(counts, baseline.arm, metric.name)
    common = sorted(ours.keys() & theirs.keys())
    limits = possible(metric, counts.seen.get(metric.name))
    own = _bounded(estimate(best, index) or _mean(report, ours), limits)
    usual = None if baseline is None else _bounded(estimate(baseline, index) or _mean(report, theirs), limits)
    change = _mean(report, {case: ours[case] - theirs[case] for case in common})
    reference = _mean(report, {case: theirs[case] for case in common})
    if change is not None and reference is not None:
        change = change if metric.unit else _doubted(change, own, usual)
        change = settled(change, reference.mean, reference.mean + change.mean)
    return Contrast(
        name=metric.name,
        unit=metric.unit,
        direction=metric.direction,
        best=own,
        baseline=usual,
        change=_bounded(change, _span(limits, usual, reference)),
        reference=None if reference is None else reference.mean,
        n_common=len(common),
    )


def _doubted(change: Interval, first: Interval | None, second: Interval | None) -> Interval:
    """Return the change with the doubt that two means leave, where a few equal differences would show none at all.

    Four answers that are all right and four that are all wrong differ by 1 each, and four more need not. A price that
    is the same every time is simply known.
    """
    if first is None or second is None or change.high - change.low > NOISE * abs(change.mean):
        return change
    down, up = (
        math.hypot(first.mean - first.low, second.high - second.mean),
        math.hypot(first.high - first.mean, second.mean - second.low),
    )
    if not math.isfinite(down + up):
        return change
    return Interval(mean=change.mean, low=change.mean - down, high=change.mean + up)


def _bounded(interval: Interval | None, limits: tuple[float, float]) -> Interval | None:
    return None if interval is None else bounded(interval, *limits)


def _span(limits: tuple[float, float], usual: Interval | None, common: Interval | None) -> tuple[float, float]:
    """Return how far a metric can change from the baseline's, which is known in all and on the common cases."""
    if usual is None or common is None:
        return -math.inf, math.inf
    low, high = limits
    return low - max(usual.high, common.mean), high - min(usual.low, common.mean)


def estimate(arm: ArmEstimate, index: int) -> Interval | None:
    """Return the posterior of a raw metric, or None where the arm has none that is finite."""
    if index >= len(arm.objectives) or finite(arm.objectives[index].mean) is None:
        return None
    return arm.objectives[index]


def _means(counts: Tally, arm: ArmId, name: str) -> dict[int, float]:
    return case_means(counts.arm(arm).by_case(), lambda call: measured(call).get(name))


def _mean(report: StudyReport, by_case: Mapping[int, float]) -> Interval | None:
    weights = [report.cases[case].weight if case < len(report.cases) else 1.0 for case in by_case]
    return mean_interval(list(by_case.values()), weights)


def difference_text(contrast: Contrast) -> str:
    """Return the change of one metric in words."""
    if contrast.best is None or contrast.baseline is None:
        return UNKNOWN
    return verdict(contrast.change, contrast.reference, contrast.unit)


def value_of(contrast: Contrast) -> str:
    """Return the recommended configuration's value of one metric."""
    return quantity(contrast.best.mean if contrast.best else None, contrast.unit)
