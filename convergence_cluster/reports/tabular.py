"""Tables of report.html: captioned, scrolling by themselves, cut where a page would become heavy."""

from collections.abc import Sequence

from convergence_cluster.domain.search import ArmEstimate
from convergence_cluster.reports.markup import Markup, tag
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.wording import excerpt

_NUMERIC = frozenset(
    {"Low", "High", "P(best)", "Calls", "Cost per call", "Latency", "Common cases", "Effect", "Configurations"}
)


def table(caption: str, header: Sequence[str], rows: Sequence[Markup], *, is_wide: bool = False) -> Markup:
    """Return a table with its caption and column headings."""
    return framed(caption, [tag("th", name, scope="col", class_=side(name)) for name in header], rows, is_wide=is_wide)


def framed(
    caption: str, heads: Sequence[Markup], rows: Sequence[Markup], *, kind: str | None = None, is_wide: bool = False
) -> Markup:
    """Return a table that scrolls by itself on a narrow screen, by keyboard too."""
    inner = tag(
        "table",
        tag("caption", tag("span", caption)),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
        class_="wide" if is_wide else kind,
    )
    return tag("div", inner, class_="scroll", role="region", tabindex="0", aria_label=excerpt(caption, 80))


def side(heading: str) -> str | None:
    """Return the class of a heading: figures stand on the right."""
    return "n" if heading in _NUMERIC else None


def cut(n: int, limit: int, what: str, where: str) -> list[Markup]:
    """Return a sentence on how many rows are left out and where they are; nothing where none is."""
    words = f"{limit:,} of {n:,} {what} are shown; all are in {where}."
    return [tag("p", words, class_="note")] if n > limit else []


def role(report: StudyReport, arm: ArmEstimate) -> str | None:
    """Return the class of a row: the recommended arm's, the baseline's, or none."""
    answer = report.recommendation
    if answer.best is not None and arm.arm == answer.best.arm:
        return "best"
    return "base" if answer.baseline is not None and arm.arm == answer.baseline.arm else None
