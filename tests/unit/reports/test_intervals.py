"""Means of few numbers."""

import math
from dataclasses import replace

import numpy as np
import pytest

from convergence_cluster.domain.search import Interval
from convergence_cluster.reports.intervals import bounded, mean_interval, rounded, student_quantile
from tests.unit.reports.example_study import make_report


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 6.3138), (2, 2.9200), (4, 2.1318), (5, 2.0150), (6, 1.9432), (10, 1.8125), (30, 1.6973), (1000, 1.6464)],
)
def test_quantiles_agree_with_the_published_table(freedom: int, expected: float) -> None:
    assert student_quantile(freedom) == pytest.approx(expected, abs=1e-3)


def test_nothing_has_no_mean() -> None:
    assert mean_interval([]) is None


def test_one_value_says_nothing_about_its_interval() -> None:
    found = mean_interval([0.4])

    assert found is not None
    assert (found.mean, found.low, found.high) == (0.4, -math.inf, math.inf)


def test_equal_weights_give_the_plain_t_interval() -> None:
    values = [0.1, 0.4, 0.7, 0.2]
    reach = 2.353363 * float(np.std(values, ddof=1)) / 2

    found = mean_interval(values, [2.0] * 4)

    assert found is not None
    assert [found.mean, found.high - found.mean] == pytest.approx([0.35, reach])


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    draws = np.random.default_rng(5).normal(3.0, 2.0, size=(4000, 6))

    held = [i.low <= 3.0 <= i.high for i in (mean_interval(list(map(float, row))) for row in draws) if i is not None]

    assert np.mean(held) == pytest.approx(0.9, abs=0.02)


def test_an_interval_is_cut_to_what_can_be_and_keeps_its_mean() -> None:
    assert bounded(Interval(mean=0.9, low=-0.1, high=1.1), 0.0, 1.0) == Interval(mean=0.9, low=0.0, high=1.0)
    assert bounded(Interval(mean=1.2, low=1.1, high=1.3), 0.0, 1.0) == Interval(mean=1.2, low=1.1, high=1.2)


def test_an_end_that_is_unknown_stays_unknown() -> None:
    unknown = Interval(mean=0.9, low=-math.inf, high=math.inf)

    assert bounded(unknown, 0.0, 1.0) == unknown


def test_raw_metrics_that_are_the_error_of_arithmetic_are_zero() -> None:
    answer = make_report().recommendation
    assert answer.baseline is not None
    tiny = Interval(mean=2.17e-19, low=-1e-18, high=0.3)
    answer = replace(answer, baseline=replace(answer.baseline, objectives=(tiny, *answer.baseline.objectives[1:])))

    found = rounded(answer)

    assert answer.baseline is not None
    assert found.baseline is not None
    assert found.baseline.objectives[0] == Interval(mean=0.0, low=0.0, high=0.3)
    assert found.baseline.objectives[1:] == answer.baseline.objectives[1:]
    assert found.best == answer.best
    assert (found.tied, found.front) == (answer.tied, answer.front)
