"""`--fail-if`: the form of a condition, and what it is compared with."""

from argparse import ArgumentTypeError

import pytest

from convergence_cluster.commands.conditions import parse_condition, require_known
from convergence_cluster.domain.errors import SpecError
from tests.unit.reports.example_study import make_report


@pytest.mark.parametrize(
    ("text", "name", "sign", "value"),
    [
        ("quality < 0.9", "quality", "<", 0.9),
        ("latency_ms>=1e3", "latency_ms", ">=", 1000.0),
        (" change <= -5% ", "change", "<=", -0.05),
        ("my-metric.p95 > +2", "my-metric.p95", ">", 2.0),
    ],
)
def test_a_condition_is_a_name_a_sign_and_a_number(text: str, name: str, sign: str, value: float) -> None:
    condition = parse_condition(text)

    assert (condition.name, condition.sign) == (name, sign)
    assert condition.value == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "quality", "quality = 1", "quality < high", "0.9 > quality", "quality < 1.2.3"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=r"as in 'quality < 0\.9'"):
        parse_condition(text)


def test_a_condition_holds_for_the_answers_own_numbers() -> None:
    report = make_report()
    best = report.recommendation.best
    assert best is not None

    assert parse_condition(f"score < {best.score.mean + 0.01}").holds(report)
    assert not parse_condition(f"score < {best.score.mean - 0.01}").holds(report)
    assert parse_condition(f"{report.metrics[0].name} > -1").holds(report)


def test_a_name_that_no_answer_has_is_refused_with_those_there_are() -> None:
    require_known([parse_condition("quality < 1"), parse_condition("change < 0")], ["quality"])

    with pytest.raises(SpecError, match=r"no 'qualty'; it will have change, p_best, p_within, quality, score"):
        require_known([parse_condition("qualty < 1")], ["quality"])
