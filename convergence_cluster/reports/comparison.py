"""Two studies side by side, for `convergence compare`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from convergence_cluster.domain.identity import Json, canonical_json
from convergence_cluster.domain.search import ArmEstimate, Direction, Interval
from convergence_cluster.reports.constraints import breach_words
from convergence_cluster.reports.contrast import Contrast, contrasts, verdict
from convergence_cluster.reports.findings import how_sure, stopping
from convergence_cluster.reports.intervals import settled
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.tally import tally
from convergence_cluster.reports.wording import (
    configuration_text,
    counted,
    duration,
    excerpt,
    finite,
    printable,
    quantity_interval,
    score_interval,
    usd,
    value_text,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One figure of two recommended configurations, each with its 90 % interval."""

    name: str
    unit: str
    first: Interval | None
    second: Interval | None
    change: Interval | None
    """Second minus first, the two taken as independent; None where either is unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What differs between the answers of two studies."""

    first: StudyReport
    second: StudyReport
    figures: tuple[Difference, ...]
    """The score, then every metric that both know."""
    parameters: tuple[tuple[str, Json, Json], ...]
    """Name and both values of each parameter on which the answers differ; None: not part of that answer."""
    obstacles: tuple[str, ...]
    """Why figures may not be compared at face value; empty where they may."""
    breaches: tuple[str, ...]
    """Which answers break the constraints of their own study."""


def compare(first: StudyReport, second: StudyReport) -> Comparison:
    """Compare the answers of two studies."""
    best = first.recommendation.best, second.recommendation.best
    ours = {c.name: c for c in contrasts(first, tally(first))}
    theirs = {c.name: c for c in contrasts(second, tally(second))}
    score = _difference("score", "", *(None if arm is None else arm.score for arm in best))
    shared = [name for name in ours if name in theirs]
    return Comparison(
        first=first,
        second=second,
        figures=(score, *(_metric(ours[name], theirs[name]) for name in shared)),
        parameters=_parameters(*best),
        obstacles=tuple(_obstacles(first, second)),
        breaches=tuple(
            f"the answer of study {label} breaks its constraints: {words}"
            for label, words in (("A", breach_words(first)), ("B", breach_words(second)))
            if words is not None
        ),
    )


def comparison_lines(comparison: Comparison) -> tuple[str, ...]:
    """Return the comparison as plain lines, without any markup."""
    first, second = comparison.first, comparison.second
    lines = [f"A  {_title(first)}", f"B  {_title(second)}", ""]
    lines += [f"Careful: {printable(words)}" for words in (*comparison.obstacles, *comparison.breaches)]
    for row in comparison.figures:
        values = f"A {_value(row, row.first)}   B {_value(row, row.second)}"
        reference = None if row.first is None else row.first.mean
        change = (
            verdict(row.change, reference, row.unit, decimals=3 if row.name == "score" else None)
            if row.change
            else "cannot be compared"
        )
        lines.append(f"{printable(row.name)}: {values}   B against A: {change}")
    lines += [
        f"{printable(name)}: A {_words(ours)}   B {_words(theirs)}" for name, ours, theirs in comparison.parameters
    ]
    if not comparison.parameters and first.recommendation.best and second.recommendation.best:
        lines.append("Both recommend the same configuration.")
    return (*lines, "", f"A  {_effort(first)}", f"B  {_effort(second)}")


def comparison_json(comparison: Comparison) -> Json:
    """Return the comparison as a JSON value."""
    return {
        "studies": [comparison.first.study, comparison.second.study],
        "comparable": not comparison.obstacles,
        "obstacles": list(comparison.obstacles),
        "breaches": list(comparison.breaches),
        "figures": [
            {
                "name": row.name,
                "unit": row.unit,
                "first": _numbers(row.first),
                "second": _numbers(row.second),
                "change": _numbers(row.change),
            }
            for row in comparison.figures
        ],
        "parameters": [{"name": name, "first": ours, "second": theirs} for name, ours, theirs in comparison.parameters],
    }


def _metric(first: Contrast, second: Contrast) -> Difference:
    return _difference(first.name, first.unit, first.best, second.best)


def _difference(name: str, unit: str, first: Interval | None, second: Interval | None) -> Difference:
    change = None
    if first is not None and second is not None and finite(second.mean - first.mean) is not None:
        mean = second.mean - first.mean
        low = mean - math.hypot(second.mean - second.low, first.high - first.mean)
        high = mean + math.hypot(second.high - second.mean, first.mean - first.low)
        change = settled(Interval(mean=mean, low=low, high=high), first.mean, second.mean)
    return Difference(name=name, unit=unit, first=first, second=second, change=change)


def _parameters(first: ArmEstimate | None, second: ArmEstimate | None) -> tuple[tuple[str, Json, Json], ...]:
    if first is None or second is None:
        return ()
    ours, theirs = first.configuration, second.configuration
    return tuple(
        (name, ours.get(name), theirs.get(name))
        for name in dict.fromkeys((*ours, *theirs))
        if (name in ours) is not (name in theirs) or canonical_json(ours.get(name)) != canonical_json(theirs.get(name))
    )


def _obstacles(first: StudyReport, second: StudyReport) -> Sequence[str]:
    found = [
        f"study {label} has no answer"
        for label, report in (("A", first), ("B", second))
        if report.recommendation.best is None
    ]
    if _composition(first) != _composition(second):
        found.append("the metrics differ (name, weight, direction or scale), so the scores are not on one scale")
    ours, theirs = ({case.id for case in report.cases} for report in (first, second))
    if ours != theirs:
        found.append(f"the test cases differ: {counted(len(ours & theirs), 'case')} of {len(ours | theirs):,} in both")
    return found


def _composition(report: StudyReport) -> dict[str, tuple[float, Direction, float | None]]:
    """Return what a score is made of; a metric without a weight is only watched."""
    return {m.name: (m.weight, m.direction, m.scale) for m in report.metrics if m.weight}


def _title(report: StudyReport) -> str:
    best = report.recommendation.best
    answer = "no answer" if best is None else configuration_text(best.configuration)
    return f"{printable(report.name)} ({printable(report.study)}): {answer}"


def _effort(report: StudyReport) -> str:
    money = "unknown cost" if report.spend.usd is None else usd(report.spend.usd)
    spent = f"{counted(report.spend.n_calls, 'call')}, {money}, {duration(report.spend.seconds)}"
    return f"{spent}; {stopping(report)}; {how_sure(report)}"


def _value(row: Difference, value: Interval | None) -> str:
    return score_interval(value) if row.name == "score" else quantity_interval(value, row.unit)


def _words(value: Json) -> str:
    return "does not apply" if value is None else excerpt(printable(value_text(value)), 60)


def _numbers(interval: Interval | None) -> Json:
    if interval is None:
        return None
    return {"mean": finite(interval.mean), "low": finite(interval.low), "high": finite(interval.high)}
