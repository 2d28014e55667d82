"""Axes and marks."""

import math
import re
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from convergence_cluster.domain.search import Interval
from convergence_cluster.reports.charts import Bar, Frame, axis, bars
from convergence_cluster.reports.plots import MAX_POINTS, score_over_time
from convergence_cluster.reports.scatter import pareto_fronts
from convergence_cluster.reports.wording import number, score_interval
from tests.unit.reports.example_study import make_report

FINITE = st.floats(min_value=-1e12, max_value=1e12)


@given(st.lists(FINITE, max_size=6), st.booleans())
@example([1.0, 5e-324], True)
@example([5e-324, -6.0], False)
def test_every_value_lies_on_its_axis_between_round_ticks(values: list[float], may_log: bool) -> None:  # noqa: FBT001
    found = axis("x", values, number, may_log=may_log)

    assert found.low < found.high
    assert 1 <= len(found.ticks) <= 40
    assert list(found.ticks) == sorted(set(found.ticks))
    assert all(found.low <= v <= found.high for v in values)
    assert all(0 <= found.at(v) <= 1 for v in values)


def test_values_that_are_no_numbers_do_not_break_an_axis() -> None:
    assert axis("x", [math.nan, math.inf], number).ticks[0] == 0


def test_prices_far_apart_get_a_logarithmic_axis() -> None:
    found = axis("x", [1e-5, 1e-2], number, may_log=True)

    assert found.is_log
    assert found.at(1e-4) == pytest.approx(1 / 3)


def test_an_interval_without_an_end_reaches_the_edge() -> None:
    frame = Frame(x=axis("x", [0, 10], number), y=axis("y", [0, 1], number))
    point = Interval(mean=0.5, low=0.5, high=0.5)

    drawn = str(frame.cross(Interval(mean=5, low=-math.inf, high=math.inf), point, "best"))

    ends = [float(x) for x in re.findall(r"([\d.]+),", drawn)][:2]
    assert ends == pytest.approx([frame.left(0), frame.left(10)], abs=0.1)


def test_bars_without_anything_to_count_are_empty() -> None:
    drawn, height = bars([Bar(label="ok", figure="0", value=0.0)], 0.0)

    assert 'width="0"' in drawn
    assert height > 0


def test_a_long_trajectory_is_thinned_but_keeps_its_end() -> None:
    report = make_report()
    (point, *_, last) = report.trajectory
    many = (*(replace(point, n_calls=n) for n in range(1, 20_000)), replace(last, n_calls=20_000))

    (chart,) = score_over_time(replace(report, trajectory=many))

    assert len(chart.body) < 200 * MAX_POINTS
    assert "after 20,000 calls" in chart.description


def test_a_study_without_a_trajectory_has_no_such_chart() -> None:
    assert score_over_time(replace(make_report(), trajectory=())) == ()


def test_the_incumbent_ends_at_the_answer_also_where_it_changed_after_the_last_mark() -> None:
    report = make_report()
    best = report.recommendation.best
    assert best is not None
    early = tuple(replace(p, n_calls=p.n_calls // 2, arm=report.arms[3].arm) for p in report.trajectory)

    (chart,) = score_over_time(replace(report, trajectory=early))

    assert f"ends at {score_interval(best.score)} after {report.recommendation.n_calls} calls" in chart.description
    assert f"call {report.recommendation.n_calls}: configuration #{best.arm}" in chart.body


def test_an_axis_of_small_prices_has_no_exponents() -> None:
    report = make_report()
    cheap = tuple(
        replace(arm, objectives=(*arm.objectives[:2], Interval(mean=mean, low=mean, high=mean)))
        for arm, mean in zip(report.arms[:3], (2e-5, 3e-4, 4e-3), strict=True)
    )

    drawn = next(c for c in pareto_fronts(replace(report, arms=cheap)) if c.name == "pareto_front_quality_cost_usd")

    assert "$0.00001<" in drawn.body
    assert "e-05" not in drawn.body
