"""report.html: one file that asks nothing of any other."""

import base64
import hashlib
from collections.abc import Sequence

from convergence_cluster.reports import listing, sections
from convergence_cluster.reports.charts import Chart, svg
from convergence_cluster.reports.constraints import breach_words
from convergence_cluster.reports.contrast import Contrast, contrasts, difference_text, value_of
from convergence_cluster.reports.findings import (
    gain,
    headline,
    holdout,
    how_sure,
    is_baseline_best,
    no_baseline,
    spending,
    unkept,
)
from convergence_cluster.reports.markup import EMPTY, Markup, tag, trusted
from convergence_cluster.reports.plots import outcomes
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.style import PAGE_STYLE, SCRIPT
from convergence_cluster.reports.tally import COST, LATENCY, Tally
from convergence_cluster.reports.wording import (
    UNKNOWN,
    chance,
    configuration_text,
    duration,
    excludes_zero,
    moment,
    percent,
    score,
    sentence,
    signed,
    usd,
)

_LABELS = {COST: "Cost per call", LATENCY: "Latency per call"}


def report_html(report: StudyReport, counts: Tally, drawn: Sequence[Chart]) -> str:
    """Return the page with the charts that were drawn for it."""
    body = [
        tag("header", tag("h1", report.name), tag("p", _subtitle(report)), _alarm(report)),
        tag(
            "main",
            _section("answer", "Answer", [_tiles(report, counts), sections.answer_table(report), _facts(report)]),
            _section("metrics", "Metrics", sections.metrics(report, counts)),
            _section("charts", "Charts", [_figures(_distinct(drawn))]),
            _section("losses", "Cases where it loses", sections.lost_cases(report, counts)),
            _section("alternatives", "Alternatives", sections.alternatives(report)),
            _section("calls", "Calls", [*_figures_of_calls(counts), *sections.failures(counts)]),
            _section("configurations", "All configurations", listing.all_arms(report, counts)),
            _section("effects", "What each value did", listing.effects(counts)),
            _section("notes", "Spend and notes", [_notes(report)]),
        ),
    ]
    html = tag("html", _head(report), tag("body", *body, tag("script", trusted(SCRIPT))), lang="en")
    return f"<!DOCTYPE html>\n{html}\n"


def _head(report: StudyReport) -> Markup:
    policy = f"default-src 'none'; style-src '{_hash(PAGE_STYLE)}'; script-src '{_hash(SCRIPT)}'; img-src data:"
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{report.name}: results"),
        tag("style", trusted(PAGE_STYLE)),
    )


def _hash(source: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def _subtitle(report: StudyReport) -> str:
    took = duration(report.finished_at_s - report.started_at_s)
    return f"{headline(report)}. {moment(report.started_at_s)}, {took}. Study {report.study}."


def _alarm(report: StudyReport) -> Markup:
    """Return a warning that nobody misses where the answer breaks a constraint."""
    broken = unkept(report)
    return EMPTY if broken is None else tag("p", f"Constraints {broken}.", class_="alarm")


def _section(name: str, title: str, parts: Sequence[Markup]) -> Markup:
    shown = [part for part in parts if part]
    if not shown:
        return EMPTY
    return tag("section", tag("h2", title, id=name), *shown, aria_labelledby=name)


def _tiles(report: StudyReport, counts: Tally) -> Markup:
    answer = report.recommendation
    if answer.best is None:
        return tag("p", "No configuration has a score, so there is no answer. See the calls below for what failed.")
    best = answer.best.score
    broken = breach_words(report)
    sure = f"P(within {100 * report.within:g} % of the best tried)"
    tiles = [
        _tile("Score", score(best.mean), f"90 % interval {score(best.low)} to {score(best.high)}"),
        _change(report),
        *(
            _tile(_LABELS[c.name], value_of(c), difference_text(c) if c.baseline else _alone(report, c))
            for c in contrasts(report, counts)
            if c.name in _LABELS
        ),
        _tile("How sure", chance(answer.p_within), f"{sure}; {len(answer.tied):,} tied with it")
        if broken is None
        else _tile("Constraints", "broken", broken, kind="down"),
        _tile("Spent", UNKNOWN if report.spend.usd is None else usd(report.spend.usd), spending(report)),
    ]
    return tag("div", *tiles, class_="tiles")


def _alone(report: StudyReport, contrast: Contrast) -> str:
    if contrast.best is None:
        return "no price is known" if contrast.unit == "usd" else "nothing was measured"
    return "the baseline itself" if is_baseline_best(report) else no_baseline(report)


def _tile(head: str, figure: str, words: str, *, kind: str | None = None) -> Markup:
    return tag(
        "div", tag("span", head, class_="head"), tag("b", figure, class_=kind), tag("span", words), class_="tile"
    )


def _change(report: StudyReport) -> Markup:
    answer = report.recommendation
    title = "Change vs baseline"
    if is_baseline_best(report):
        return _tile(title, "none", "the baseline itself is the best found")
    if answer.baseline is None or answer.change is None:
        return _tile(title, UNKNOWN, no_baseline(report))
    change, usual = answer.change, answer.baseline.score.mean
    words = f"{signed(change.low, decimals=3)} to {signed(change.high, decimals=3)}, from {score(usual)}"
    words += "" if answer.baseline.is_feasible else "; the baseline breaks a constraint"
    if not excludes_zero(change):
        return _tile(title, "not distinguishable", f"{signed(change.mean, decimals=3)}, {words}")
    kind = "up" if change.mean > 0 else "down"
    absolute = signed(change.mean, decimals=3)
    if usual <= 0:
        return _tile(title, absolute, words, kind=kind)
    return _tile(title, f"{absolute[0]}{percent(abs(change.mean / usual))}", f"{absolute}, {words}", kind=kind)


def _facts(report: StudyReport) -> Markup:
    if report.recommendation.best is None:
        return EMPTY
    unseen = holdout(report)
    facts = [
        sentence(how_sure(report)),
        sentence(gain(report)),
        *([f"On cases that the search never saw: {unseen}."] if unseen else []),
        *([f"Started from: {report.legacy}"] if report.legacy else []),
        "Every interval holds 90 %. A score is a posterior mean over all test cases, not the luckiest draw.",
    ]
    return tag("ul", *(tag("li", fact) for fact in facts))


def _figures(drawn: Sequence[Chart]) -> Markup:
    return tag("div", *map(_figure, drawn), class_="charts") if drawn else EMPTY


def _distinct(drawn: Sequence[Chart]) -> list[Chart]:
    """Leave out a chart where a later one shows the same two metrics."""
    later = [{chart.metrics for chart in drawn[place + 1 :]} for place in range(len(drawn))]
    return [chart for chart, seen in zip(drawn, later, strict=True) if not chart.metrics or chart.metrics not in seen]


def _figure(chart: Chart) -> Markup:
    return tag("figure", tag("h3", chart.title), svg(chart), tag("figcaption", chart.description))


def _figures_of_calls(counts: Tally) -> list[Markup]:
    return [_figures([outcomes(counts)])] if counts.kinds else []


def _notes(report: StudyReport) -> Markup:
    lines = [
        f"{spending(report)}.",
        *(f"Prices: {source}." for source in report.price_sources),
        *report.notes,
        *(f"{key}: {value}" for key, value in report.provenance.items()),
    ]
    baseline = report.recommendation.baseline
    if baseline is not None:
        lines.append(f"Baseline: {configuration_text(baseline.configuration, limit=80)}")
    return tag("ul", *(tag("li", line) for line in lines))
