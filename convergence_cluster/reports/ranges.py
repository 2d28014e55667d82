"""Values of metrics that were outside of what a metric may be."""

from collections.abc import Iterable

from convergence_cluster.domain.calls import CallOutcome
from convergence_cluster.reports.wording import counted


def out_of_range(outcomes: Iterable[CallOutcome]) -> tuple[str, ...]:
    """Return a sentence for each metric whose evaluator gave values outside of [0, 1]."""
    seen: dict[str, list[float]] = {}
    n_scored = 0
    for outcome in outcomes:
        n_scored += outcome.is_scored
        for name, value in outcome.clamped.items():
            seen.setdefault(name, []).append(value)
    return tuple(
        f"{name}: {counted(len(values), 'value')} of {n_scored:,} outside 0 to 1 (such as {values[0]:g}), counted as "
        f"{min(1, max(0, values[0]))}; return a share between 0 and 1 from the evaluator, for one by dividing by the "
        "largest value possible"
        for name, values in seen.items()
    )
