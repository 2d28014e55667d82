"""Two studies side by side."""

import json
from dataclasses import replace

import pytest

from convergence_cluster.domain.search import Interval
from convergence_cluster.reports.comparison import compare, comparison_json, comparison_lines
from tests.unit.reports.example_study import empty_report, make_report, reconfigured, without_prices


def test_the_difference_of_scores_has_the_interval_of_two_independent_estimates() -> None:
    first, second = make_report(), make_report()
    best = first.recommendation.best
    assert best is not None
    low = replace(best, score=Interval(mean=0.7, low=0.67, high=0.73))
    high = replace(best, score=Interval(mean=0.8, low=0.76, high=0.84))
    first = replace(first, recommendation=replace(first.recommendation, best=low))
    second = replace(second, recommendation=replace(second.recommendation, best=high))

    change = compare(first, second).figures[0].change

    assert change is not None
    assert [change.mean, change.low, change.high] == pytest.approx([0.1, 0.05, 0.15])
    assert any("up 14 % (+0.100, +0.050 to +0.150)" in line for line in comparison_lines(compare(first, second)))


def test_a_difference_within_the_error_of_arithmetic_is_none() -> None:
    first, second = make_report(), make_report()
    best = first.recommendation.best
    assert best is not None
    dear = Interval(mean=0.005000000000000004, low=0.005000000000000003, high=0.005000000000000005)
    even = Interval(mean=0.005, low=0.005, high=0.005)
    first, second = (
        replace(
            first,
            recommendation=replace(first.recommendation, best=replace(best, objectives=(*best.objectives[:2], cost))),
        )
        for cost in (even, dear)
    )

    lines = comparison_lines(compare(first, second))

    assert "cost_usd: A $0.00500   B $0.00500   B against A: no difference" in lines


def test_only_parameters_that_differ_are_listed() -> None:
    found = compare(make_report(), reconfigured(make_report(), {"temperature": 0.5, "new": 1}))

    assert found.parameters == (("temperature", 0.3, 0.5), ("new", None, 1))
    assert "new: A does not apply   B 1" in comparison_lines(found)


def test_equal_answers_are_called_equal() -> None:
    found = compare(make_report(), make_report())

    assert (found.parameters, found.obstacles) == ((), ())
    assert "Both recommend the same configuration." in comparison_lines(found)


def test_scores_on_different_scales_are_flagged() -> None:
    report = make_report()
    other = replace(report, metrics=(replace(report.metrics[0], weight=0.9), *report.metrics[1:]))

    assert "not on one scale" in compare(report, other).obstacles[0]


def test_a_metric_without_a_weight_does_not_change_the_scale() -> None:
    report = make_report()
    watched = replace(report.metrics[2], weight=0.0)
    first = replace(report, metrics=(*report.metrics[:2], watched))
    second = replace(report, metrics=(*report.metrics[:2], replace(watched, scale=0.5)))
    without = replace(report, metrics=report.metrics[:2])

    assert [compare(first, other).obstacles for other in (second, without)] == [(), ()]


def test_different_cases_are_flagged_with_their_overlap() -> None:
    report = make_report()

    assert compare(report, replace(report, cases=report.cases[:20])).obstacles == (
        "the test cases differ: 20 cases of 24 in both",
    )


def test_a_study_without_an_answer_compares_to_nothing() -> None:
    found = compare(make_report(), empty_report())

    assert "study B has no answer" in found.obstacles
    assert any("cannot be compared" in line for line in comparison_lines(found))
    assert comparison_json(found)["figures"][0]["change"] is None


def test_unknown_prices_stay_unknown_and_the_json_is_strict() -> None:
    found = compare(make_report(), without_prices(make_report()))

    lines = comparison_lines(found)
    document = json.dumps(comparison_json(found), allow_nan=False)

    assert any(line.startswith("cost_usd: A $0.00") and "B unknown" in line for line in lines)
    assert json.loads(document)["figures"][-1]["second"] is None
