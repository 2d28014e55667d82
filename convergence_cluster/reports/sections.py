"""The answer, its rivals and the failures, as parts of report.html."""

import json
from collections.abc import Sequence

from convergence_cluster.domain.identity import Configuration, Json, canonical_json
from convergence_cluster.domain.search import ArmEstimate
from convergence_cluster.reports.constraints import breach_mark
from convergence_cluster.reports.contrast import Contrast, contrasts, difference_text, estimate
from convergence_cluster.reports.findings import FRONT_ORDER, front_rows
from convergence_cluster.reports.losses import Loss, losses
from convergence_cluster.reports.markup import EMPTY, Markup, tag
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.sheets import case_id
from convergence_cluster.reports.tabular import cut, role, table
from convergence_cluster.reports.tally import Tally
from convergence_cluster.reports.wording import (
    configuration_text,
    excerpt,
    quantity_interval,
    score,
    score_interval,
    value_text,
)

MAX_LOSSES = 20
MAX_ALTERNATIVES = 25
MAX_REASONS = 25
EXCERPT = 600
_CELL = 80


def answer_table(report: StudyReport) -> Markup:
    """Return the recommended configuration beside the baseline's."""
    best, baseline = report.recommendation.best, report.recommendation.baseline
    if best is None:
        return EMPTY
    usual: Configuration = {} if baseline is None else baseline.configuration
    rows = []
    for name in dict.fromkeys((*best.configuration, *usual)):
        differs = baseline is not None and _text(best.configuration, name) != _text(usual, name)
        cells = [tag("th", name, scope="row"), _value(best.configuration, name)]
        if baseline is not None:
            cells.append(_value(usual, name) if differs else tag("td", "the same", class_="soft"))
        rows.append(tag("tr", *cells, class_="best" if differs else None))
    header = ["Parameter", "Recommended", *(["Baseline"] if baseline else [])]
    return table("The recommended configuration", header, rows)


def _text(configuration: Configuration, name: str) -> str | None:
    return canonical_json(configuration[name]) if name in configuration else None


def _value(configuration: Configuration, name: str) -> Markup:
    if name not in configuration:
        return tag("td", "does not apply", class_="soft")
    words = value_text(configuration[name])
    if len(words) <= _CELL and "\n" not in words:
        return tag("td", words)
    return tag("td", tag("details", tag("summary", excerpt(" ".join(words.split()), 48)), tag("pre", words)))


def metrics(report: StudyReport, counts: Tally) -> list[Markup]:
    """Return every metric of the recommended configuration, beside the baseline's where that is another one."""
    found = contrasts(report, counts)
    if not found:
        return []
    caption = "Means per call with 90 % intervals."
    header = ["Metric", "Recommended"]
    if any(contrast.baseline for contrast in found):
        header += ["Baseline", "Change", "Common cases"]
        caption += (
            " The change is the mean of the differences on the cases that both ran, and its interval treats those "
            "cases as a sample of your traffic; where it holds zero, the two are not distinguishable."
        )
    return [table(caption, header, [_metric(contrast, len(header)) for contrast in found], is_wide=True)]


def _metric(contrast: Contrast, n_cells: int) -> Markup:
    kind = {True: "long up", False: "long down", None: "long"}[contrast.is_better]
    cells = [
        tag("th", contrast.name, scope="row"),
        tag("td", quantity_interval(contrast.best, contrast.unit), class_="fix"),
        tag("td", quantity_interval(contrast.baseline, contrast.unit), class_="fix"),
        tag("td", difference_text(contrast), class_=kind),
        tag("td", f"{contrast.n_common:,}", class_="n"),
    ]
    return tag("tr", *cells[:n_cells])


def lost_cases(report: StudyReport, counts: Tally) -> list[Markup]:
    """Return the cases on which another configuration scored higher, with what both answered."""
    found = losses(report, counts)
    if not found:
        return []
    note = (
        "On these cases the baseline, a tied configuration or one of the front scored higher. Few calls stand behind "
        "one case, so a small gap may be chance; a large one shows what the recommended configuration is bad at."
    )
    left_out = cut(len(found), MAX_LOSSES, "cases", "detailed_results.csv")
    return [tag("p", note, class_="note"), *(_loss(report, loss) for loss in found[:MAX_LOSSES]), *left_out]


def _loss(report: StudyReport, loss: Loss) -> Markup:
    who = "the baseline" if loss.is_baseline else f"#{loss.rival.arm}"
    head = f"{case_id(report, loss.case)}: {score(loss.score)} against {score(loss.rival_score)} of {who}"
    parts = []
    if loss.case < len(report.cases):
        case = report.cases[loss.case]
        parts = [_words("Input", {**case.input}), _words("Expected", case.expected)]
    answers = [
        _words("Recommended answered", loss.answer),
        _words(f"{who[0].upper()}{who[1:]} answered", loss.rival_answer),
    ]
    hidden = [] if report.answers_allowed else [tag("p", "Answers are left out by the study.", class_="note")]
    other = tag("p", f"The other: {configuration_text(loss.rival.configuration)}", class_="note")
    return tag("details", tag("summary", head), tag("div", *parts, *answers, class_="pair"), *hidden, other)


def _words(title: str, value: Json) -> Markup:
    if value is None or value == {}:
        return EMPTY
    words = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1, default=str)
    return tag("div", tag("h3", title), tag("pre", excerpt(words, EXCERPT)))


def alternatives(report: StudyReport) -> list[Markup]:
    """Return what is tied with the answer, and the front over all metrics."""
    tied, front = report.recommendation.tied, front_rows(report)
    return [
        *_alternatives(report, "Tied: the data cannot tell these from the recommended configuration", tied),
        *_alternatives(report, f"Pareto front over all metrics: {FRONT_ORDER}", front),
    ]


def _alternatives(report: StudyReport, caption: str, arms: Sequence[ArmEstimate]) -> list[Markup]:
    if not arms:
        return []
    rows = [
        tag(
            "tr",
            tag("th", f"#{arm.arm}", scope="row"),
            tag("td", f"{configuration_text(arm.configuration)}{breach_mark(arm)}", class_="long"),
            tag("td", score_interval(arm.score), class_="fix"),
            *(
                tag("td", quantity_interval(estimate(arm, i), m.unit), class_="fix")
                for i, m in enumerate(report.metrics)
            ),
            class_=role(report, arm),
        )
        for arm in arms[:MAX_ALTERNATIVES]
    ]
    header = ["Arm", "Configuration", "Score", *(m.name for m in report.metrics)]
    left_out = cut(len(arms), MAX_ALTERNATIVES, "configurations", "experiments.csv")
    return [table(caption, header, rows, is_wide=True), *left_out]


def failures(counts: Tally) -> list[Markup]:
    """Return why calls gave no score."""
    if not counts.reasons:
        return []
    rows = [
        tag("tr", tag("th", kind.value, scope="row"), tag("td", f"{n:,}", class_="n"), tag("td", excerpt(reason, 300)))
        for kind, reason, n in counts.reasons[:MAX_REASONS]
    ]
    left_out = cut(len(counts.reasons), MAX_REASONS, "reasons", "detailed_results.csv")
    return [
        table("Calls without a score; none counts as a score of 0", ["Outcome", "Calls", "Reason"], rows),
        *left_out,
    ]
