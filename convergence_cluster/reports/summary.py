"""The last lines that a study prints: the answer, how sure it is, what it cost, where the files are."""

from convergence_cluster.domain.identity import Configuration
from convergence_cluster.reports.contrast import Contrast, contrasts, difference_text
from convergence_cluster.reports.findings import (
    gain,
    headline,
    holdout,
    how_sure,
    is_baseline_best,
    score_change,
    shortfalls,
    spending,
    unkept,
)
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.tally import COST, LATENCY, Tally, tally
from convergence_cluster.reports.wording import (
    configuration_text,
    excerpt,
    printable,
    quantity,
    score_interval,
    value_text,
)

MAX_TIED = 3
_LABELS = {COST: "Cost", LATENCY: "Latency"}
_INDENT = "   "


def last_lines(report: StudyReport, *, saved_to: str | None = None, is_unicode: bool = True) -> tuple[str, ...]:
    """Return the lines, without any markup: print them with markup switched off.

    Where the terminal cannot show more than ASCII, `is_unicode=False` leaves the signs out.
    """
    counts = tally(report)
    rows = [row for row in _rows(report, counts, saved_to) if row[1]]
    width = max(len(label) for label, _ in rows) + 1
    body = [f"{_INDENT}{label + ':':<{width}} {printable(str(words))}" for label, words in rows]
    lines = [f"{_sign(report) if is_unicode else ''}{headline(report)}", *body]
    return tuple(lines if is_unicode else [line.encode("ascii", "replace").decode() for line in lines])


def _sign(report: StudyReport) -> str:
    best = report.recommendation.best
    if best is None:
        return "❌ "
    return "✅ " if best.is_feasible else "⚠️ "


def _rows(report: StudyReport, counts: Tally, saved_to: str | None) -> list[tuple[str, str | None]]:
    answer = report.recommendation
    rows: list[tuple[str, str | None]] = []
    if answer.best is not None:
        rows += [
            ("Best config", configuration_text(answer.best.configuration)),
            ("Constraints", unkept(report)),
            ("Score", f"{score_interval(answer.best.score)}; {score_change(report)}"),
            *_metrics(report, counts),
            ("Holdout", holdout(report)),
            ("How sure", how_sure(report)),
            *_tied(report),
            ("Next", gain(report)),
        ]
    return [
        *rows,
        ("Not whole", shortfalls(counts)),
        ("Spent", spending(report)),
        ("Started from", report.legacy),
        *(("Note", note) for note in report.notes),
        ("Results in", saved_to),
    ]


def _metrics(report: StudyReport, counts: Tally) -> list[tuple[str, str | None]]:
    has_baseline = report.recommendation.baseline is not None and not is_baseline_best(report)
    return [
        (_LABELS.get(c.name, printable(c.name)), _metric(c, has_baseline=has_baseline))
        for c in contrasts(report, counts)
    ]


def _metric(contrast: Contrast, *, has_baseline: bool) -> str:
    value = quantity(contrast.best.mean if contrast.best else None, contrast.unit)
    words = f"{value} per call" if contrast.name in _LABELS and contrast.best else value
    if not has_baseline or contrast.change is None:
        return words
    other = quantity(contrast.baseline.mean if contrast.baseline else None, contrast.unit)
    return f"{words}; {difference_text(contrast)} vs baseline {other}"


def _tied(report: StudyReport) -> list[tuple[str, str | None]]:
    best, tied = report.recommendation.best, report.recommendation.tied
    assert best is not None
    rows: list[tuple[str, str | None]] = [
        ("Tied", f"{score_interval(arm.score)} with {_differences(best.configuration, arm.configuration)}")
        for arm in tied[:MAX_TIED]
    ]
    more = len(tied) - MAX_TIED
    return [*rows, ("Tied", f"{more:,} more in report.md")] if more > 0 else rows


def _differences(best: Configuration, other: Configuration) -> str:
    """Return only what another configuration has otherwise."""
    words = [
        f"{printable(name)}={excerpt(printable(value_text(other[name])), 40)}"
        if name in other
        else f"no {printable(name)}"
        for name in dict.fromkeys((*other, *best))
        if name not in best or name not in other or best[name] != other[name]
    ]
    return ", ".join(words) or "the same values"
