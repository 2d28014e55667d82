"""Every configuration and every parameter value, as tables of report.html."""

from collections.abc import Iterable

from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import ArmEstimate
from convergence_cluster.reports.constraints import breach_mark
from convergence_cluster.reports.importance import METHOD
from convergence_cluster.reports.markup import Markup, tag
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.sheets import parameter_names
from convergence_cluster.reports.tabular import cut, framed, role, side, table
from convergence_cluster.reports.tally import COST, LATENCY, Tally
from convergence_cluster.reports.wording import excerpt, finite, percent, quantity, score, signed, value_text

MAX_ARMS = 300
MAX_LEVELS = 12
MAX_EFFECTS = 20
_CELL = 80
_TITLE = 600
_SHORT = 26


_HEADER = ("Arm", "Score", "Low", "High", "P(best)", "Calls", "Cost per call", "Latency", "State", "From")


def all_arms(report: StudyReport, counts: Tally) -> list[Markup]:
    """Return the configurations in a table that sorts, best first, cut where a page would become heavy."""
    if not report.arms:
        return []
    ranked = sorted(
        report.arms, key=lambda arm: (not counts.arm(arm.arm).n_scored, -(finite(arm.score.mean) or 0.0), arm.arm)
    )
    special = [arm for arm in ranked[MAX_ARMS:] if role(report, arm)]
    parameters = parameter_names(report)
    rows = [_arm(report, counts, arm, parameters) for arm in [*ranked[:MAX_ARMS], *special]]
    header = [*_HEADER, *parameters]
    head = [
        tag(
            "th",
            tag("button", name, type="button"),
            scope="col",
            class_=side(name),
            data_first="ascending" if place in _ASCENDING else None,
        )
        for place, name in enumerate(header)
    ]
    caption = (
        "Press a heading to sort. Low and high are the ends of the 90 % interval; "
        "blue is recommended, orange the baseline."
    )
    return [
        framed(caption, head, rows, kind="sortable"),
        *cut(len(ranked), MAX_ARMS, "configurations", "experiments.csv"),
    ]


_ASCENDING = frozenset({0, 6, 7})
"""Columns whose best is the lowest: arm, cost, latency."""


def _arm(report: StudyReport, counts: Tally, arm: ArmEstimate, parameters: Iterable[str]) -> Markup:
    found = counts.arm(arm.arm)
    cost, latency = found.mean(COST), found.mean(LATENCY)
    figures: list[tuple[float | None, str]] = [
        (v, score(v)) if found.n_scored else (None, "") for v in (arm.score.mean, arm.score.low, arm.score.high)
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
        tag("td", f"{arm.state.value}{breach_mark(arm)}"),
        tag("td", arm.operator),
        *(_short(arm.configuration, name) for name in parameters),
        class_=role(report, arm),
    )


def _figure(value: float | None, words: str) -> Markup:
    known = finite(value)
    return tag("td", words, class_="n", data_v="" if known is None else f"{known:.9g}")


def _short(configuration: Configuration, name: str) -> Markup:
    if name not in configuration:
        return tag("td", "")
    words = " ".join(value_text(configuration[name]).split())
    return tag("td", excerpt(words, _CELL), title=excerpt(words, _TITLE) if len(words) > _SHORT else None)


def effects(counts: Tally) -> list[Markup]:
    """Return the effect of each parameter's values on the score."""
    rows = []
    for item in counts.importances[:MAX_EFFECTS]:
        levels = item.levels[:MAX_LEVELS]
        for place, level in enumerate(levels):
            head = [tag("th", item.name, scope="rowgroup", rowspan=len(levels))] if place == 0 else []
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
    return [table(caption, ["Parameter", "Value", "Effect", "Configurations"], rows), tag("p", METHOD, class_="note")]
