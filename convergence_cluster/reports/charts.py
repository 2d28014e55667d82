"""Axes, marks and frames of SVG charts. Coordinates are user units of a chart 440 wide."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from convergence_cluster.domain.search import Interval
from convergence_cluster.reports.markup import EMPTY, Markup, joined, tag, trusted
from convergence_cluster.reports.style import CHART_STYLE
from convergence_cluster.reports.wording import excerpt, finite

WIDTH = 440.0
HEIGHT = 310.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 26.0, 52.0, 46.0
LEGEND_Y = 34.0
TITLE = 30.0
_TINY = 1e-250
"""Smaller values have no place among ratios: their tenth would be 0."""
_LOG_RATIO = 25.0
"""A positive axis that spans more than this factor is logarithmic."""
_TICKS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """Where values lie between the two ends of an axis."""

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    show: Callable[[float], str]
    is_log: bool = False

    def at(self, value: float) -> float:
        """Return the place of a value, from 0 to 1; what lies outside is put on the edge."""
        if self.is_log:
            place = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            place = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, place))


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """A drawn chart."""

    name: str
    """Unique in a page, and safe as an id and as a file name."""
    title: str
    description: str
    """What the chart says, for those who cannot see it; also its caption."""
    body: Markup
    height: float = HEIGHT
    metrics: frozenset[str] = frozenset()
    """The two metrics between which it shows configurations."""


def axis(label: str, values: Sequence[float], show: Callable[[float], str], *, may_log: bool = False) -> Axis:
    """Return an axis that holds every finite value, with round ticks."""
    known = [v for v in values if finite(v) is not None] or [0.0, 1.0]
    low, high = min(known), max(known)
    if may_log and low > _TINY and high / low > _LOG_RATIO:
        return _log_axis(label, low, high, show)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        pad = abs(high) * 0.1 or 0.5
        low, high = low - pad, high + pad
    step = _round_step((high - low) / _TICKS)
    first, last = math.floor(low / step), math.ceil(high / step)
    ticks = tuple(float(f"{k * step:.12g}") for k in range(first, last + 1))
    # A value too small to be told from a tick still has its place.
    return Axis(label=label, low=min(ticks[0], low), high=max(ticks[-1], high), ticks=ticks, show=show)


def _log_axis(label: str, low: float, high: float, show: Callable[[float], str]) -> Axis:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    digits = (1, 2, 5) if last - first <= 2 else (1,)  # noqa: PLR2004 - more would not fit
    decades = max(1, (last - first) // 8)
    every = [m * 10.0**k for k in range(first, last + decades, decades) for m in digits]
    start = max((t for t in every if t <= low), default=low)
    stop = min((t for t in every if t >= high), default=high)
    return Axis(
        label=label, low=start, high=stop, ticks=tuple(t for t in every if start <= t <= stop), show=show, is_log=True
    )


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= step * 0.999)


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The plotting area between two axes."""

    x: Axis
    y: Axis
    height: float = HEIGHT

    def left(self, value: float) -> float:
        """Return the horizontal coordinate of a value."""
        return LEFT + self.x.at(value) * (WIDTH - LEFT - RIGHT)

    def top(self, value: float) -> float:
        """Return the vertical coordinate of a value."""
        return self.height - BOTTOM - self.y.at(value) * (self.height - BOTTOM - TOP)

    def draw(self, *marks: Markup) -> Markup:
        """Return the marks between axes with grid lines, ticks and labels."""
        return joined([*map(self._row, self.y.ticks), *self._columns(), *self._labels(), *marks])

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> Markup:
        """Return a line through values."""
        path = " ".join(f"{self.left(x):.1f},{self.top(y):.1f}" for x, y in points)
        return tag("polyline", points=path, class_=kind)

    def area(self, points: Sequence[tuple[float, float]], kind: str) -> Markup:
        """Return a closed area around values."""
        path = " ".join(f"{self.left(x):.1f},{self.top(y):.1f}" for x, y in points)
        return tag("polygon", points=path, class_=kind)

    def dot(self, x: float, y: float, kind: str, title: str, *, radius: float = 3.0) -> Markup:
        """Return a round mark that says what it is."""
        return tag("circle", tag("title", title), cx=self.left(x), cy=self.top(y), r=radius, class_=kind)

    def mark(self, x: float, y: float, kind: str, title: str) -> Markup:
        """Return a mark of another shape, so that it is told apart without its colour: a star, or a square."""
        shape = _star if kind == "best" else _square
        return tag("path", tag("title", title), d=shape(self.left(x), self.top(y)), class_=kind)

    def cross(self, x: Interval, y: Interval, kind: str) -> Markup:
        """Return the intervals of a point in both directions; an interval without an end reaches the edge."""
        low_x, high_x = _ends(x, self.x)
        low_y, high_y = _ends(y, self.y)
        return joined(
            [
                self.line([(low_x, y.mean), (high_x, y.mean)], f"{kind} whisker"),
                self.line([(x.mean, low_y), (x.mean, high_y)], f"{kind} whisker"),
            ]
        )

    def _row(self, value: float) -> Markup:
        y = self.top(value)
        return joined(
            [
                tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"),
                tag("text", self.y.show(value), x=LEFT - 7, y=y + 4, class_="tick", text_anchor="end"),
            ]
        )

    def _columns(self) -> list[Markup]:
        bottom = self.height - BOTTOM
        shown = self.x.ticks[:: max(1, math.ceil(len(self.x.ticks) / 6))]
        return [
            joined(
                [
                    tag("line", x1=self.left(v), x2=self.left(v), y1=bottom, y2=bottom + 4, class_="axis"),
                    tag("text", self.x.show(v), x=self.left(v), y=bottom + 18, class_="tick", text_anchor="middle"),
                ]
            )
            for v in shown
        ]

    def _labels(self) -> list[Markup]:
        bottom = self.height - BOTTOM
        middle = (LEFT + WIDTH - RIGHT) / 2
        return [
            tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="axis"),
            tag("text", excerpt(self.x.label, 60), x=middle, y=self.height - 8, class_="name", text_anchor="middle"),
            tag("text", excerpt(self.y.label, 60), x=4, y=16, class_="name"),
        ]


def legend(items: Sequence[tuple[str, str]], y: float = LEGEND_Y) -> Markup:
    """Return a row of (kind, words) that explains the marks."""
    parts, x = [], 6.0
    for kind, words in items:
        parts.append(_sample(kind, x + 5, y))
        parts.append(tag("text", words, x=x + 14, y=y + 4, class_="tick"))
        x += 34 + 6.6 * len(words)
    return joined(parts)


def _sample(kind: str, x: float, y: float) -> Markup:
    match kind:
        case "best":
            return tag("path", d=_star(x, y), class_=kind)
        case "base":
            return tag("path", d=_square(x, y), class_=kind)
        case "band":
            return tag("rect", x=x - 6, y=y - 5, width=12, height=10, class_=kind)
        case "best-line" | "base-line" | "front-line":
            return tag("line", x1=x - 7, x2=x + 7, y1=y, y2=y, class_=kind)
        case _:
            return tag("circle", cx=x, cy=y, r=3.5, class_=kind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One row of a bar chart."""

    label: str
    figure: str
    value: float
    kind: str = "bar"
    low: float | None = None
    high: float | None = None


def bars(rows: Sequence[Bar], highest: float) -> tuple[Markup, float]:
    """Return rows of bars from 0 to `highest` with the words above each, and the height they need."""
    parts, y, room = [], 4.0, WIDTH - 20
    for row in rows:
        width = room * min(1.0, row.value / highest) if highest > 0 else 0.0
        parts += [
            tag("text", excerpt(row.label, 44), x=10, y=y + 14, class_="name"),
            tag("text", row.figure, x=WIDTH - 10, y=y + 14, class_="tick", text_anchor="end"),
            tag("rect", x=10, y=y + 20, width=room, height=9, class_="groove"),
            tag(
                "rect",
                tag("title", f"{row.label}: {row.figure}"),
                x=10,
                y=y + 20,
                width=width,
                height=9,
                class_=row.kind,
            ),
        ]
        if row.low is not None and row.high is not None and highest > 0:
            ends = [10 + room * min(1.0, max(0.0, v / highest)) for v in (row.low, row.high)]
            parts.append(tag("line", x1=ends[0], x2=ends[1], y1=y + 24.5, y2=y + 24.5, class_="reach"))
            parts += [tag("line", x1=e, x2=e, y1=y + 20.5, y2=y + 28.5, class_="reach") for e in ends]
        y += 40
    return joined(parts), y + 4


def svg(chart: Chart, *, is_alone: bool = False) -> Markup:
    """Return the chart as an element of a page, or as a document of its own with its title and its colours."""
    head = TITLE if is_alone else 0.0
    title, description = f"{chart.name}-title", f"{chart.name}-description"
    return tag(
        "svg",
        tag("title", chart.title, id=title),
        tag("desc", chart.description, id=description),
        tag("style", trusted(CHART_STYLE)) if is_alone else EMPTY,
        tag("rect", x=0, y=-head, width=WIDTH, height=chart.height + head, class_="paper") if is_alone else EMPTY,
        tag("text", chart.title, x=8, y=-8, class_="title") if is_alone else EMPTY,
        chart.body,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 {0 - head:g} {WIDTH:g} {chart.height + head:g}",
        width=WIDTH if is_alone else None,
        height=chart.height + head if is_alone else None,
        role="img",
        class_="chart",
        aria_labelledby=f"{title} {description}",
    )


def _ends(interval: Interval, on: Axis) -> tuple[float, float]:
    low, high = finite(interval.low), finite(interval.high)
    return (on.low if low is None else low, on.high if high is None else high)


def _square(x: float, y: float) -> str:
    return f"M{x - 5:.1f} {y - 5:.1f}h10v10h-10z"


def _star(x: float, y: float) -> str:
    corners = [(8.5 if k % 2 == 0 else 3.6, math.pi * (k / 5 - 0.5)) for k in range(10)]
    path = "L".join(f"{x + r * math.cos(a):.1f} {y + r * math.sin(a):.1f}" for r, a in corners)
    return f"M{path}z"
