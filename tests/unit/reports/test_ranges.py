"""Values outside of their range."""

from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.identity import ArmId, StudyId
from convergence_cluster.reports.ranges import out_of_range


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
