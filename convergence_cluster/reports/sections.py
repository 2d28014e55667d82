"""The tables of report.html."""

import json
from collections.abc import Iterable, Sequence

from convergence_cluster.domain.identity import Configuration, Json, canonical_json
from convergence_cluster.domain.search import ArmEstimate
from convergence_cluster.reports.contrast import Contrast, contrasts, difference_text, estimate
from convergence_cluster.reports.importance import METHOD, importances
from convergence_cluster.reports.losses import Loss, losses
from convergence_cluster.reports.markup import EMPTY, Markup, tag
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.sheets import case_id, parameter_names
from convergence_cluster.reports.tally import COST, LATENCY, Tally
from convergence_cluster.reports.wording import (
    configuration_text,
    excerpt,
    finite,
    percent,
    quantity,
    quantity_interval,
    score,
    score_interval,
    signed,
    value_text,
)

MAX_ARMS = 300
MAX_LOSSES = 20
MAX_ALTERNATIVES = 25
MAX_REASONS = 25
MAX_LEVELS = 12
MAX_EFFECTS = 20
EXCERPT = 600
_CELL = 80
_SHORT = 26


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
    return _table("The recommended configuration", header, rows)


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
    """Return every metric of the recommended configuration and of the baseline."""
    rows = [_metric(contrast) for contrast in contrasts(report, counts)]
    if not rows:
        return []
    caption = (
        "Means per call with 90 % intervals. The change is the mean of the differences on the cases that both ran, "
        "and its interval treats those cases as a sample of your traffic; where it holds zero, the two are not "
        "distinguishable."
    )
    return [_table(caption, ["Metric", "Recommended", "Baseline", "Change", "Common cases"], rows, is_wide=True)]


def _metric(contrast: Contrast) -> Markup:
    kind = {True: "up", False: "down", None: None}[contrast.is_better]
    return tag(
        "tr",
        tag("th", contrast.name, scope="row"),
        tag("td", quantity_interval(contrast.best, contrast.unit), class_="fix"),
        tag("td", quantity_interval(contrast.baseline, contrast.unit) if contrast.baseline else "none", class_="fix"),
        tag("td", difference_text(contrast) if contrast.baseline else "", class_=f"long {kind}" if kind else "long"),
        tag("td", f"{contrast.n_common:,}", class_="n"),
    )


def lost_cases(report: StudyReport, counts: Tally) -> list[Markup]:
    """Return the cases on which another configuration scored higher, with what both answered."""
    found = losses(report, counts)
    if not found:
        return []
    note = (
        "On these cases the baseline, a tied configuration or one of the front scored higher. Few calls stand behind "
        "one case, so a small gap may be chance; a large one shows what the recommended configuration is bad at."
    )
    cut = _cut(len(found), MAX_LOSSES, "cases", "detailed_results.csv")
    return [tag("p", note, class_="note"), *(_loss(report, loss) for loss in found[:MAX_LOSSES]), *cut]


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
    tied, front = report.recommendation.tied, report.recommendation.front
    return [
        *_alternatives(report, "Tied: the data cannot tell these from the recommended configuration", tied),
        *_alternatives(report, "Pareto front over all metrics: no other configuration beats these in every one", front),
    ]


def _alternatives(report: StudyReport, caption: str, arms: Sequence[ArmEstimate]) -> list[Markup]:
    if not arms:
        return []
    rows = [
        tag(
            "tr",
            tag("th", f"#{arm.arm}", scope="row"),
            tag("td", configuration_text(arm.configuration), class_="long"),
            tag("td", score_interval(arm.score), class_="fix"),
            *(
                tag("td", quantity_interval(estimate(arm, i), m.unit), class_="fix")
                for i, m in enumerate(report.metrics)
            ),
            class_=_kind(report, arm),
        )
        for arm in arms[:MAX_ALTERNATIVES]
    ]
    header = ["Arm", "Configuration", "Score", *(m.name for m in report.metrics)]
    cut = _cut(len(arms), MAX_ALTERNATIVES, "configurations", "experiments.csv")
    return [_table(caption, header, rows, is_wide=True), *cut]


def failures(counts: Tally) -> list[Markup]:
    """Return why calls gave no score."""
    if not counts.reasons:
        return []
    rows = [
        tag("tr", tag("th", kind.value, scope="row"), tag("td", f"{n:,}", class_="n"), tag("td", excerpt(reason, 300)))
        for kind, reason, n in counts.reasons[:MAX_REASONS]
    ]
    cut = _cut(len(counts.reasons), MAX_REASONS, "reasons", "detailed_results.csv")
    return [_table("Calls without a score; none counts as a score of 0", ["Outcome", "Calls", "Reason"], rows), *cut]


def all_arms(report: StudyReport, counts: Tally) -> list[Markup]:
    """Return the configurations in a table that sorts, best first, cut where a page would become heavy."""
    if not report.arms:
        return []
    ranked = sorted(report.arms, key=lambda arm: (not arm.n_calls, -(finite(arm.score.mean) or 0.0), arm.arm))
    special = [arm for arm in ranked[MAX_ARMS:] if _kind(report, arm)]
    parameters = parameter_names(report)
    rows = [_arm(report, counts, arm, parameters) for arm in [*ranked[:MAX_ARMS], *special]]
    header = [
        "Arm",
        "Score",
        "Low",
        "High",
        "P(best)",
        "Calls",
        "Cost per call",
        "Latency",
        "State",
        "From",
        *parameters,
    ]
    head = [
        tag(
            "th",
            tag("button", name, type="button"),
            scope="col",
            data_first="ascending" if place in _ASCENDING else None,
        )
        for place, name in enumerate(header)
    ]
    caption = (
        "Press a heading to sort. Low and high are the ends of the 90 % interval; "
        "blue is recommended, orange the baseline."
    )
    table = tag(
        "table",
        tag("caption", tag("span", caption)),
        tag("thead", tag("tr", *head)),
        tag("tbody", *rows),
        class_="sortable",
    )
    return [_scroll(table, "All configurations"), *_cut(len(ranked), MAX_ARMS, "configurations", "experiments.csv")]


_ASCENDING = frozenset({0, 6, 7})
"""Columns whose best is the lowest: arm, cost, latency."""


def _arm(report: StudyReport, counts: Tally, arm: ArmEstimate, parameters: Iterable[str]) -> Markup:
    found = counts.arm(arm.arm)
    cost, latency = found.mean(COST), found.mean(LATENCY)
    figures: list[tuple[float | None, str]] = [
        (v, score(v)) if arm.n_calls else (None, "") for v in (arm.score.mean, arm.score.low, arm.score.high)
    ]
    figures += [
        (arm.p_best, percent(arm.p_best)),
        (arm.n_calls, f"{arm.n_calls:,}"),
        (cost, quantity(cost, "usd")),
        (latency, quantity(latency, "ms")),
    ]
    return tag(
        "tr",
        tag("th", f"#{arm.arm}", scope="row", data_v=arm.arm),
        *(_figure(value, words) for value, words in figures),
        tag("td", arm.state.value),
        tag("td", arm.operator),
        *(_short(arm.configuration, name) for name in parameters),
        class_=_kind(report, arm),
    )


def _figure(value: float | None, words: str) -> Markup:
    known = finite(value)
    return tag("td", words, class_="n", data_v="" if known is None else f"{known:.9g}")


def _short(configuration: Configuration, name: str) -> Markup:
    if name not in configuration:
        return tag("td", "")
    words = " ".join(value_text(configuration[name]).split())
    return tag("td", excerpt(words, _CELL), title=excerpt(words, EXCERPT) if len(words) > _SHORT else None)


def effects(report: StudyReport) -> list[Markup]:
    """Return the effect of each parameter's values on the score."""
    rows = []
    for item in importances(report.space, report.arms)[:MAX_EFFECTS]:
        ranked = sorted(item.levels, key=lambda level: -level.effect)[:MAX_LEVELS]
        for place, level in enumerate(ranked):
            head = [tag("th", item.name, scope="rowgroup", rowspan=len(ranked))] if place == 0 else []
            figures = [
                tag("td", excerpt(level.label, _CELL)),
                tag("td", signed(level.effect, decimals=3), class_="n"),
                tag("td", f"{level.n_arms:,}", class_="n"),
            ]
            rows.append(tag("tr", *head, *figures))
    if not rows:
        return []
    caption = (
        "Estimated effect of a value on the score, other parameters alike, "
        "relative to the mean over the parameter's values"
    )
    return [_table(caption, ["Parameter", "Value", "Effect", "Configurations"], rows), tag("p", METHOD, class_="note")]


def _kind(report: StudyReport, arm: ArmEstimate) -> str | None:
    answer = report.recommendation
    if answer.best is not None and arm.arm == answer.best.arm:
        return "best"
    return "base" if answer.baseline is not None and arm.arm == answer.baseline.arm else None


def _table(caption: str, header: Sequence[str], rows: Sequence[Markup], *, is_wide: bool = False) -> Markup:
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in header)))
    table = tag(
        "table", tag("caption", tag("span", caption)), head, tag("tbody", *rows), class_="wide" if is_wide else None
    )
    return _scroll(table, caption)


def _scroll(table: Markup, label: str) -> Markup:
    """Return a table that scrolls by itself on a narrow screen, by keyboard too."""
    return tag("div", table, class_="scroll", role="region", tabindex="0", aria_label=excerpt(label, 80))


def _cut(n: int, limit: int, what: str, where: str) -> list[Markup]:
    words = f"{limit:,} of {n:,} {what} are shown; all are in {where}."
    return [tag("p", words, class_="note")] if n > limit else []
