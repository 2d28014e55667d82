"""report.md: one page for people, not one section per configuration."""

from collections.abc import Iterable, Sequence

from convergence_cluster.domain.search import ArmEstimate
from convergence_cluster.reports.constraints import breach_mark
from convergence_cluster.reports.contrast import contrasts, difference_text
from convergence_cluster.reports.findings import (
    FRONT_ORDER,
    front_rows,
    gain,
    headline,
    holdout,
    how_sure,
    score_change,
    spending,
    unkept,
)
from convergence_cluster.reports.importance import METHOD
from convergence_cluster.reports.losses import losses
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.sheets import case_id
from convergence_cluster.reports.tally import Tally
from convergence_cluster.reports.wording import (
    configuration_text,
    excerpt,
    markdown,
    moment,
    percent,
    quantity_interval,
    score,
    score_interval,
    sentence,
    value_text,
)

MAX_ROWS = 15


def report_md(report: StudyReport, counts: Tally) -> str:
    """Return the document."""
    parts = [
        f"# {markdown(report.name)}",
        f"{markdown(headline(report))}. {moment(report.started_at_s)} to {moment(report.finished_at_s)}.",
        *_answer(report),
        *_baseline(report, counts),
        *_arms("Tied with it", report, report.recommendation.tied),
        *_arms("Pareto front", report, front_rows(report), f"{FRONT_ORDER.capitalize()}."),
        *_importance(counts),
        *_losses(report, counts),
        *_failures(counts),
        *_spend(report),
    ]
    return "\n\n".join(parts) + "\n"


def _answer(report: StudyReport) -> list[str]:
    best, baseline = report.recommendation.best, report.recommendation.baseline
    if best is None:
        return ["## Answer", "No configuration has a score, so there is no answer. See what failed below."]
    usual = {} if baseline is None else baseline.configuration
    rows = [
        (_code(name), _code(value_text(value)), _code(value_text(usual[name])) if name in usual else "")
        for name, value in best.configuration.items()
    ]
    broken = unkept(report)
    facts = [
        *([f"Constraints {broken}."] if broken else []),
        f"Score: {score_interval(best.score)}; {score_change(report)}.",
        sentence(how_sure(report)),
        sentence(gain(report)),
    ]
    unseen = holdout(report)
    return [
        "## Answer",
        *_table(("parameter", "recommended", "baseline"), rows),
        "\n".join(f"- {markdown(fact)}" for fact in [*facts, *([f"Holdout: {unseen}."] if unseen else [])]),
        "Intervals hold 90 %. A score is a posterior mean over all test cases, not the luckiest draw.",
    ]


def _baseline(report: StudyReport, counts: Tally) -> list[str]:
    rows = [
        (
            markdown(c.name),
            markdown(quantity_interval(c.best, c.unit)),
            markdown(quantity_interval(c.baseline, c.unit)) if c.baseline else "",
            markdown(difference_text(c)) if c.baseline else "",
            str(c.n_common),
        )
        for c in contrasts(report, counts)
    ]
    if not rows:
        return []
    return ["## Metrics", *_table(("metric", "recommended", "baseline", "change", "common cases"), rows)]


def _arms(title: str, report: StudyReport, arms: Sequence[ArmEstimate], caption: str = "") -> list[str]:
    if not arms:
        return []
    metrics = report.metrics if all(len(arm.objectives) == len(report.metrics) for arm in arms) else ()
    rows = [
        (
            f"{arm.arm}",
            markdown(score_interval(arm.score)),
            *(markdown(quantity_interval(o, m.unit)) for o, m in zip(arm.objectives, metrics, strict=False)),
            markdown(f"{configuration_text(arm.configuration)}{breach_mark(arm)}"),
        )
        for arm in arms[:MAX_ROWS]
    ]
    header = ("arm", "score", *(markdown(m.name) for m in metrics), "configuration")
    above = [caption] if caption else []
    return [f"## {title}", *above, *_table(header, rows), *_cut(len(arms), "experiments.csv")]


def _importance(counts: Tally) -> list[str]:
    rows = [
        (
            markdown(item.name),
            f"{percent(item.share.mean)} ({100 * item.share.low:.0f} to {100 * item.share.high:.0f})",
            markdown(excerpt(max(item.levels, key=lambda level: level.effect).label, 40)),
        )
        for item in counts.importances[:MAX_ROWS]
    ]
    if not rows:
        return []
    header = ("parameter", "share of the variance", "best value on average")
    return ["## What mattered", *_table(header, rows), markdown(METHOD)]


def _losses(report: StudyReport, counts: Tally) -> list[str]:
    found = losses(report, counts)
    if not found:
        return []
    rows = [
        (
            markdown(case_id(report, loss.case)),
            score(loss.score),
            score(loss.rival_score),
            "baseline" if loss.is_baseline else f"arm {loss.rival.arm}",
        )
        for loss in found[:MAX_ROWS]
    ]
    header = ("case", "recommended", "other", "which")
    return ["## Cases where it loses", *_table(header, rows), *_cut(len(found), "detailed_results.csv")]


def _failures(counts: Tally) -> list[str]:
    rows = [(kind.value, f"{n:,}", markdown(excerpt(reason, 200))) for kind, reason, n in counts.reasons[:MAX_ROWS]]
    if not rows:
        return []
    return [
        "## Calls without a score",
        *_table(("outcome", "calls", "reason"), rows),
        *_cut(len(counts.reasons), "detailed_results.csv"),
    ]


def _spend(report: StudyReport) -> list[str]:
    lines = [f"{spending(report)}.", *(f"Prices: {source}." for source in report.price_sources), *report.notes]
    if report.legacy:
        lines.append(f"Started from: {report.legacy}")
    lines += [f"{key}: {value}" for key, value in report.provenance.items()]
    return ["## Spend and notes", "\n".join(f"- {markdown(line)}" for line in lines)]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["\n".join(f"| {' | '.join(line)} |" for line in lines)]


def _cut(n: int, where: str) -> list[str]:
    return [f"{MAX_ROWS} of {n:,} are shown; all are in {where}."] if n > MAX_ROWS else []


def _code(words: str) -> str:
    return markdown(excerpt(words, 300))
