"""The charts of a study."""

from collections.abc import Sequence

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.reports.charts import HEIGHT, Bar, Chart, Frame, axis, bars, legend
from convergence_cluster.reports.records import StudyReport, TrajectoryPoint, Visualization
from convergence_cluster.reports.scatter import cost_vs_quality, pareto_fronts
from convergence_cluster.reports.tally import Tally
from convergence_cluster.reports.wording import counted, number, percent, score_interval

MAX_POINTS = 300
MAX_BARS = 12


def charts(report: StudyReport, counts: Tally, names: Sequence[Visualization] | None = None) -> tuple[Chart, ...]:
    """Return the named charts, all where none is named; those that have nothing to show are left out."""
    drawn: list[Chart] = []
    for name in Visualization if names is None else names:
        match name:
            case Visualization.SCORE_OVER_TIME:
                drawn += score_over_time(report)
            case Visualization.PARAMETER_IMPORTANCE:
                drawn += parameter_importance(counts)
            case Visualization.PARETO_FRONT:
                drawn += pareto_fronts(report)
            case Visualization.COST_VS_QUALITY:
                drawn += cost_vs_quality(report, counts)
    return tuple(drawn)


def score_over_time(report: StudyReport) -> tuple[Chart, ...]:
    """Return the incumbent's score with its interval over the calls."""
    points = _thinned(_with_answer(report))
    if not points:
        return ()
    baseline = report.recommendation.baseline
    known = [v for p in points for v in (p.score.low, p.score.high)] + ([baseline.score.mean] if baseline else [])
    end = max(points[-1].n_calls, report.recommendation.n_calls)
    frame = Frame(x=axis("finished calls", [0, end], number), y=axis("score", known, number))
    spans = [(p, after) for p, after in zip(points, [*(q.n_calls for q in points[1:]), end], strict=True)]
    top = [(x, p.score.high) for p, after in spans for x in (p.n_calls, after)]
    bottom = [(x, p.score.low) for p, after in spans for x in (p.n_calls, after)]
    middle = [(x, p.score.mean) for p, after in spans for x in (p.n_calls, after)]
    line = [] if baseline is None else [frame.line([(0, baseline.score.mean), (end, baseline.score.mean)], "base-line")]
    changed = [p for before, p in zip([None, *points], points, strict=False) if before is None or before.arm != p.arm]
    dots = [
        frame.dot(
            p.n_calls, p.score.mean, "best", f"call {p.n_calls:,}: configuration #{p.arm}, {score_interval(p.score)}"
        )
        for p in changed
    ]
    keys = [("best-line", "incumbent"), ("band", "90 % interval"), *([("base-line", "baseline")] if baseline else [])]
    return (
        Chart(
            name="score_over_time",
            title="Incumbent over calls",
            description=f"Score of the configuration recommended so far, with its 90 % interval. It ends at "
            f"{score_interval(points[-1].score)} after {counted(end, 'call')}; dots mark a change of configuration.",
            body=frame.draw(
                frame.area(top + bottom[::-1], "band"), *line, frame.line(middle, "best-line"), *dots, legend(keys)
            ),
        ),
    )


def _with_answer(report: StudyReport) -> tuple[TrajectoryPoint, ...]:
    """Return the trajectory up to the answer itself: its last point may be some calls older."""
    answer, points = report.recommendation, report.trajectory
    if answer.best is None or not points:
        return points
    last = TrajectoryPoint(
        n_calls=max(points[-1].n_calls, answer.n_calls), arm=answer.best.arm, score=answer.best.score
    )
    return (*(point for point in points if point.n_calls < last.n_calls), last)


def _thinned(points: Sequence[TrajectoryPoint]) -> list[TrajectoryPoint]:
    every = max(1, len(points) // MAX_POINTS)
    return [
        p
        for i, p in enumerate(points)
        if i % every == 0 or i == len(points) - 1 or (p.arm != points[i - 1].arm and len(points) < 4 * MAX_POINTS)
    ]


def parameter_importance(counts: Tally) -> tuple[Chart, ...]:
    """Return each parameter's share of the variance between configurations."""
    found = counts.importances
    if not found:
        return ()
    rows = [
        Bar(
            label=item.name,
            figure=f"{percent(item.share.mean)} ({100 * item.share.low:.0f} to {100 * item.share.high:.0f})",
            value=item.share.mean,
            low=item.share.low,
            high=item.share.high,
        )
        for item in found[:MAX_BARS]
    ]
    body, height = bars(rows, 1.0)
    cut = f"The {MAX_BARS} most important of {len(found)} parameters. " if len(found) > MAX_BARS else ""
    words = "Share of the variance of scores that each parameter explains by itself, with 90 % intervals. "
    return (
        Chart(
            name="parameter_importance",
            title="Parameter importance",
            description=words + cut,
            body=body,
            height=height,
        ),
    )


def outcomes(counts: Tally) -> Chart:
    """Return the finished calls by how they ended."""
    total = sum(counts.kinds.values())
    rows = [
        Bar(
            label=kind.value,
            figure=f"{counts.kinds[kind]:,} ({percent(counts.kinds[kind] / total)})",
            value=counts.kinds[kind],
            kind="good" if kind is OutcomeKind.OK else "other" if kind is OutcomeKind.SKIPPED else "bad",
        )
        for kind in OutcomeKind
        if counts.kinds.get(kind)
    ]
    body, height = bars(rows, total)
    words = f"{counted(total, 'call')} in {counted(counts.n_attempts, 'attempt')}. Only ok calls have a score."
    return Chart(
        name="calls_by_outcome", title="Calls by outcome", description=words, body=body, height=min(height, HEIGHT)
    )
