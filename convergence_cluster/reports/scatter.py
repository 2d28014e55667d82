"""Charts of configurations between two metrics, with the front of the two."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from math import inf

from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import ArmEstimate, ArmState, Direction, Interval
from convergence_cluster.reports.charts import Axis, Chart, Frame, axis, legend
from convergence_cluster.reports.contrast import estimate
from convergence_cluster.reports.intervals import bounded, mean_interval
from convergence_cluster.reports.markup import EMPTY, Markup, joined
from convergence_cluster.reports.records import MetricDefinition, StudyReport
from convergence_cluster.reports.tally import COST, Tally, measured
from convergence_cluster.reports.wording import (
    configuration_text,
    counted,
    finite,
    number,
    quantity_interval,
)

MAX_DOTS = 400
MAX_PAIRS = 6
_DIRECTIONS = {Direction.MAXIMIZE: "higher is better", Direction.MINIMIZE: "lower is better"}
_LAYERS = ("dot", "front", "base", "best")
"""In the order of drawing: the most telling marks last, on top."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """What one axis shows."""

    metric: MetricDefinition
    measure: Callable[[ArmEstimate], Interval | None]

    def axis(self, places: Sequence[Interval], *, may_log: bool = False) -> Axis:
        label = f"{self.metric.name} ({_DIRECTIONS[self.metric.direction]})"
        show = _dollars if self.metric.unit == "usd" else number
        return axis(label, [p.mean for p in places], show, may_log=may_log)

    def words(self, place: Interval) -> str:
        return f"{self.metric.name} {quantity_interval(place, self.metric.unit)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """One configuration between two axes."""

    arm: ArmEstimate
    x: Interval
    y: Interval


def pareto_fronts(report: StudyReport) -> tuple[Chart, ...]:
    """Return one chart per pair of metrics, of at most six pairs, heaviest metrics first."""
    order = sorted(range(len(report.metrics)), key=lambda i: (-abs(report.metrics[i].weight), i))
    drawn: list[Chart] = []
    for up, across in list(combinations(order, 2))[:MAX_PAIRS]:
        names = report.metrics[up].name, report.metrics[across].name
        drawn += _scatter(
            report,
            name=f"pareto_front_{_slug(names[0])}_{_slug(names[1])}",
            title=f"{names[0]} against {names[1]}",
            x=_Side(metric=report.metrics[across], measure=partial(estimate, index=across)),
            y=_Side(metric=report.metrics[up], measure=partial(estimate, index=up)),
        )
    return tuple(drawn)


def cost_vs_quality(report: StudyReport, counts: Tally) -> tuple[Chart, ...]:
    """Return the heaviest higher-is-better metric, else the score, over the measured cost per call."""
    upward = [i for i, m in enumerate(report.metrics) if m.direction is Direction.MAXIMIZE]
    index = max(upward, key=lambda i: report.metrics[i].weight, default=None)
    cost = MetricDefinition(name=COST, weight=0.0, direction=Direction.MINIMIZE, unit="usd")
    score = MetricDefinition(name="score", weight=1.0, direction=Direction.MAXIMIZE)
    quality = (
        _Side(metric=score, measure=lambda arm: arm.score)
        if index is None
        else _Side(metric=report.metrics[index], measure=partial(estimate, index=index))
    )
    return _scatter(
        report,
        name="cost_vs_quality",
        title=f"Cost against {quality.metric.name}",
        x=_Side(metric=cost, measure=lambda arm: _cost(counts, arm.arm)),
        y=quality,
    )


def front_of(points: Sequence[tuple[ArmId, float, float]], x: Direction, y: Direction) -> tuple[ArmId, ...]:
    """Return the arms that no other beats in both values, from the best x to the best y."""
    across = 1.0 if x is Direction.MAXIMIZE else -1.0
    up = 1.0 if y is Direction.MAXIMIZE else -1.0
    front: list[ArmId] = []
    highest = float("-inf")
    for arm, _, q in sorted(points, key=lambda p: (-across * p[1], -up * p[2], p[0])):
        if up * q > highest:
            front.append(arm)
            highest = up * q
    return tuple(front)


def _cost(counts: Tally, arm: ArmId) -> Interval | None:
    calls = (call for call in counts.arm(arm).calls if call.score is not None)
    found = mean_interval([cost for cost in (measured(call).get(COST) for call in calls) if cost is not None])
    return None if found is None else bounded(found, 0.0, inf)


def _scatter(report: StudyReport, *, name: str, title: str, x: _Side, y: _Side) -> tuple[Chart, ...]:
    found = _places(report, x, y)
    if len(found) < 2:  # noqa: PLR2004 - one point is no trade-off
        return ()
    feasible = [(place.arm.arm, place.x.mean, place.y.mean) for place in found if place.arm.is_feasible]
    front = front_of(feasible, x.metric.direction, y.metric.direction)
    special = _special(report)
    ranked = sorted(found, key=lambda p: (p.arm.arm not in special, p.arm.arm not in front, -p.arm.score.mean))
    shown = {place.arm.arm: place for place in ranked[:MAX_DOTS]}
    frame = Frame(
        x=x.axis([p.x for p in shown.values()], may_log=True),
        y=y.axis([p.y for p in shown.values()]),
    )
    kinds = dict.fromkeys(shown, "dot") | dict.fromkeys(set(front) & set(shown), "front")
    kinds |= {arm: kind for arm, kind in special.items() if arm in shown}
    layers = sorted(kinds, key=lambda arm: (_LAYERS.index(kinds[arm]), arm))
    path = [(shown[arm].x.mean, shown[arm].y.mean) for arm in front if arm in shown]
    marks = [
        _mark(frame, shown[arm], kinds[arm], f"{x.words(shown[arm].x)}\n{y.words(shown[arm].y)}") for arm in layers
    ]
    return (
        Chart(
            name=name,
            title=title,
            description=_description(len(found), len(shown), len(front)),
            metrics=frozenset({x.metric.name, y.metric.name}),
            body=frame.draw(frame.line(path, "front-line") if len(path) > 1 else EMPTY, *marks, _legend(kinds)),
        ),
    )


def _places(report: StudyReport, x: _Side, y: _Side) -> list[_Place]:
    found = []
    for arm in report.arms:
        if arm.state is ArmState.OUT or not arm.n_calls:
            continue
        p, q = x.measure(arm), y.measure(arm)
        if p is not None and q is not None and finite(p.mean) is not None and finite(q.mean) is not None:
            found.append(_Place(arm=arm, x=p, y=q))
    return found


def _special(report: StudyReport) -> dict[ArmId, str]:
    answer = report.recommendation
    special = {} if answer.baseline is None else {answer.baseline.arm: "base"}
    return special if answer.best is None else {**special, answer.best.arm: "best"}


def _mark(frame: Frame, place: _Place, kind: str, words: str) -> Markup:
    x, y = place.x.mean, place.y.mean
    title = f"#{place.arm.arm} {configuration_text(place.arm.configuration, limit=24)}\n{words}"
    match kind:
        case "dot":
            return frame.dot(x, y, kind, title, radius=2.5)
        case "front":
            return joined([frame.cross(place.x, place.y, kind), frame.dot(x, y, kind, title, radius=4.5)])
        case _:
            return joined([frame.cross(place.x, place.y, kind), frame.mark(x, y, kind, title)])


def _legend(kinds: dict[ArmId, str]) -> Markup:
    words = {"best": "recommended", "base": "baseline", "front": "front", "dot": "others"}
    return legend([(kind, word) for kind, word in words.items() if kind in kinds.values()])


def _description(n_found: int, n_shown: int, n_front: int) -> str:
    cut = f" {n_found - n_shown:,} more of lower score are left out." if n_found > n_shown else ""
    front = f"{n_front:,} of them on the front of these two" + (" (dotted)" if n_front > 1 else "")
    if not n_front:
        front = "none of which keeps the constraints"
    return f"Means of {counted(n_shown, 'configuration')}, {front}; crosses are 90 % intervals.{cut}"


def _dollars(value: float) -> str:
    plain = f"{value:.6f}".rstrip("0").rstrip(".")
    return f"${plain}" if 1e-6 <= value < 1e-4 else f"${number(value)}"  # noqa: PLR2004 - no exponents on an axis


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower()[:40] or "metric"
