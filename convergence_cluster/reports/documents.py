"""Every file of a study's results, by name."""

from collections.abc import Callable, Collection, Mapping, Sequence

from convergence_cluster.reports import markdown, page, results, sheets
from convergence_cluster.reports.charts import svg
from convergence_cluster.reports.plots import charts
from convergence_cluster.reports.records import StudyReport, Visualization
from convergence_cluster.reports.tally import Tally, tally

FORMATS = ("json", "markdown", "csv", "html")


def documents(
    report: StudyReport,
    *,
    formats: Collection[str] = FORMATS,
    visualizations: Sequence[Visualization] | None = None,
) -> dict[str, bytes]:
    """Return the files as UTF-8 by their path inside the results folder.

    best_config.json is always there. Charts that the study names are also single files under charts/; where it names
    none, the page has all of them.
    """
    counts = tally(report)
    texts = {"best_config.json": results.best_config(report, counts)}
    for form, makers in _MAKERS.items():
        if form in formats:
            texts |= {name: make(report, counts) for name, make in makers.items()}
    drawn = charts(report, counts, visualizations) if visualizations or "html" in formats else ()
    if "html" in formats:
        texts["report.html"] = page.report_html(report, counts, drawn)
    if visualizations:
        texts |= {f"charts/{chart.name}.svg": str(svg(chart, is_alone=True)) for chart in drawn}
    return {name: content.encode("utf-8", "backslashreplace") for name, content in texts.items()}


_MAKERS: Mapping[str, Mapping[str, Callable[[StudyReport, Tally], str]]] = {
    "json": {"detailed_results.json": results.detailed_results},
    "csv": {
        "detailed_results.csv": lambda report, _: sheets.detailed_results(report),
        "experiments.csv": sheets.experiments,
    },
    "markdown": {"report.md": markdown.report_md},
}
"""What makes each file of a format from a report and its counts; the page comes with the charts."""
