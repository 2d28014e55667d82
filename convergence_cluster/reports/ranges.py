"""What a metric's mean can be, and values that were outside of what a metric may be."""

import math
from collections.abc import Iterable

from convergence_cluster.domain.calls import CallOutcome
from convergence_cluster.domain.search import Direction
from convergence_cluster.reports.records import MetricDefinition
from convergence_cluster.reports.wording import counted


def possible(metric: MetricDefinition, seen: tuple[float, float] | None) -> tuple[float, float]:
    """Return between what the mean of a metric lies; `seen` are the smallest and the largest value of any call.

    Times, money and counts have no upper end. A share lies between 0 and 1; any other metric, whose scale nobody knows,
    between the values seen.
    """
    if seen is None:
        return -math.inf, math.inf
    low, high = seen
    if metric.unit:
        return min(low, 0.0), math.inf
    is_share = metric.direction is Direction.MAXIMIZE and low >= 0 and high <= 1
    return (0.0, 1.0) if is_share else (low, high)


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
