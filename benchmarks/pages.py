"""Results for readers: Markdown tables and anytime curves."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.summaries import Summary

mpl.use("Agg")

COLUMNS = (
    "method",
    "setting",
    "seeds",
    "calls to 1 % (90 % interval)",
    "calls to 2 %",
    "regret at 300 / 1k / 3k / 10k, %",
    "reported - true at 100 / 300 / 1k / on the way / end",
    "interval covers at 100 / 300 / 1k / on the way / end, %",
    "tied set holds best (size)",
    "stops (wrong)",
    "CPU ms/call",
)


def table_page(table: str, bounds: Mapping[str, float], summaries: Sequence[Summary]) -> str:
    """Return one table's section, the methods by rising calls to 1 %."""
    ranked = sorted(summaries, key=lambda s: (_or_inf(s["calls_to_1pct"]), _or_inf(s["calls_to_2pct"]), s["method"]))
    lines = [
        f"### {table}",
        "",
        _bound(bounds),
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + "---|" * len(COLUMNS),
        *(_row(summary) for summary in ranked),
        "",
    ]
    return "\n".join(lines)


def comparison_page(summaries: Sequence[Summary], horizon: int, reference: str = "halving") -> str:
    """Return each method's calls to 1 % as a multiple of a reference's: geometric mean, worst table, tables reached."""
    base = {s["table"]: s["calls_to_1pct"] for s in summaries if s["method"] == reference}
    lines = [
        f"### Calls to 1 % as a multiple of {reference}",
        "",
        f"Never within {horizon:,} calls counts as {horizon:,}.",
        "",
        "| method | geometric mean | worst table | best table | tables reached |",
        "|---|---|---|---|---|",
    ]
    for method in dict.fromkeys(s["method"] for s in summaries):
        ours = [s for s in summaries if s["method"] == method and base.get(s["table"]) is not None]
        ratios = sorted(((s["calls_to_1pct"] or horizon) / base[s["table"]], s["table"]) for s in ours)
        if ratios:
            mean = math.exp(sum(math.log(ratio) for ratio, _ in ratios) / len(ratios))
            n_reached = sum(s["calls_to_1pct"] is not None for s in ours)
            (low, best), (high, worst) = ratios[0], ratios[-1]
            lines.append(
                f"| {method} | {mean:.2f} | {high:.2f} ({worst}) | {low:.2f} ({best}) | {n_reached} of {len(ours)} |"
            )
    return "\n".join([*lines, ""])


def draw_curves(path: Path, title: str, curves: Mapping[str, Mapping[str, Sequence[float]]], ylabel: str) -> None:
    """Write one chart of anytime curves, `calls` against `regret`, both logarithmic."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.add_subplot()
    styles = ("-", "--", ":", "-.")
    for number, (name, curve) in enumerate(sorted(curves.items())):
        shown = [max(value, 1e-4) for value in curve["regret"]]
        width = 2.5 if name == "ours" else 1.2
        axes.plot(curve["calls"], shown, styles[number // 10 % 4], label=name, linewidth=width)
    axes.set(xscale="log", yscale="log", xlabel="API calls", ylabel=ylabel, title=title)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize=8, ncols=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _row(summary: Summary) -> str:
    marks = summary["mean_regret_at"]
    known = summary.get("claims_at", {})
    way = summary.get("on_the_way")
    claims = [*(known[str(mark)] for mark in (100, 300, 1000) if str(mark) in known), *([way] if way else []), summary]
    regrets = " / ".join(_percent(marks.get(str(mark))) for mark in (300, 1000, 3000, 10_000))
    cells = (
        summary["method"],
        summary["setting"] or "",
        str(summary["n_seeds"]),
        _count(summary["calls_to_1pct"]) + _ends(summary.get("calls_to_1pct_90")),
        _count(summary["calls_to_2pct"]),
        regrets,
        " / ".join(_signed(claim["reported_minus_true"]) for claim in claims),
        " / ".join(_percent(claim["interval_coverage"], 0) for claim in claims),
        _percent(summary["tied_set_coverage"], 0) + _size(summary.get("tied_set_size")),
        _percent(summary.get("stopped_share"), 0) + _size(summary.get("wrong_stops")),
        "" if summary["cpu_ms_per_call"] is None else f"{summary['cpu_ms_per_call']:.3f}",
    )
    return "| " + " | ".join(cells) + " |"


def _bound(bounds: Mapping[str, float]) -> str:
    return (
        "Lower bound for methods that keep a risk of 10 % without a model of the parameters: "
        f"{bounds['1pct']:,.0f} calls to 1 %, {bounds['2pct']:,.0f} to 2 %; "
        f"told all of the best configuration but one parameter: {bounds['1pct_last_choice']:,.0f} to 1 %."
    )


def _or_inf(value: Any) -> float:
    return math.inf if value is None else float(value)


def _count(value: int | None) -> str:
    return "never" if value is None else f"{value:,}"


def _ends(ends: Sequence[int | None] | None) -> str:
    return "" if ends is None else f" ({_count(ends[0])}–{_count(ends[1])})"  # noqa: RUF001 - a range in a document


def _percent(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}"  # noqa: RUF001 - nothing to show


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.4f}"  # noqa: RUF001 - nothing to show


def _size(value: float | None) -> str:
    return "" if value is None else f" ({value:.0f})"
