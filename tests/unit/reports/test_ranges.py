"""What a metric can be, and values outside of it."""

import math

import pytest

from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.identity import ArmId, StudyId
from convergence_cluster.domain.search import Direction
from convergence_cluster.reports.ranges import out_of_range, possible
from convergence_cluster.reports.records import MetricDefinition


def outcome(case: int, **clamped: float) -> CallOutcome:
    call = Call(study=StudyId("s"), arm=ArmId(0), case=case, repeat=0, configuration={})
    return CallOutcome(call=call, kind=OutcomeKind.OK, metrics={"quality": 1.0}, clamped=clamped)


def test_a_metric_with_values_outside_is_named_with_one_and_the_cure() -> None:
    (sentence,) = out_of_range([outcome(0), outcome(1, quality=87.0), outcome(2, quality=90.0)])

    assert sentence == (
        "quality: 2 values of 3 outside 0 to 1 (such as 87), counted as 1; return a share between 0 and 1 from the "
        "evaluator, for one by dividing by the largest value possible"
    )
    assert "(such as -2), counted as 0;" in out_of_range([outcome(0, quality=-2.0)])[0]


def test_without_any_there_is_nothing_to_say() -> None:
    assert out_of_range([outcome(0)]) == ()


@pytest.mark.parametrize(
    ("unit", "direction", "seen", "limits"),
    [
        ("", Direction.MAXIMIZE, (0.2, 0.9), (0.0, 1.0)),
        ("", Direction.MAXIMIZE, (0.2, 40.0), (0.2, 40.0)),
        ("", Direction.MINIMIZE, (0.0, 7.0), (0.0, 7.0)),
        ("ms", Direction.MINIMIZE, (20.0, 90.0), (0.0, math.inf)),
        ("usd", Direction.MAXIMIZE, (-3.0, 9.0), (-3.0, math.inf)),
        ("", Direction.MAXIMIZE, None, (-math.inf, math.inf)),
    ],
)
def test_a_mean_is_bounded_by_what_the_metric_is_and_by_what_was_seen(
    unit: str, direction: Direction, seen: tuple[float, float] | None, limits: tuple[float, float]
) -> None:
    assert possible(MetricDefinition(name="m", weight=1.0, direction=direction, unit=unit), seen) == limits
