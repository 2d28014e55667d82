"""The final comparison."""

from dataclasses import replace

import pytest

from convergence_cluster.bootstrap.confirming import paired
from convergence_cluster.domain.search import Interval
from convergence_cluster.reports.findings import holdout
from convergence_cluster.reports.intervals import student_quantile
from convergence_cluster.spec.loading import loads
from tests.unit.reports.example_study import make_report

STUDY = """\
api: {name: x, endpoint: "https://example.com/v1"}
search_space: {parameters: {a: [1, 2]}}
evaluation:
  metrics: {success_rate: 1}
  test_cases: [{q: 1, weight: 1}, {q: 2, weight: 3}, {q: 3, weight: 2}]
"""


def ends(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


def test_a_case_counts_by_its_weight() -> None:
    found = paired(loads(STUDY), {0: 0.9, 1: 0.5}, {0: 0.3, 1: 0.4, 2: 0.4})

    assert found.best.mean == pytest.approx((1 * 0.9 + 3 * 0.5) / 4)
    assert found.change is not None
    assert found.change.mean == pytest.approx((1 * 0.6 + 3 * 0.1) / 4)
    assert found.n_cases == 2


def test_equal_scores_leave_no_doubt_whatever_the_weights() -> None:
    found = paired(loads(STUDY), {0: 0.5, 1: 0.5, 2: 0.5}, {})

    assert ends(found.best) == pytest.approx((0.5, 0.5))
    assert (found.baseline, found.change) == (None, None)


def test_few_cases_are_allowed_for() -> None:
    study = loads(STUDY.replace("weight: 3", "weight: 1"))

    found = paired(study, {0: 0.5, 1: 0.52}, {})

    reach = student_quantile(1) * 0.01
    assert ends(found.best) == pytest.approx((0.51 - reach, 0.51 + reach))


def test_no_interval_holds_what_a_score_cannot_be() -> None:
    found = paired(loads(STUDY), {0: 1.0, 1: 0.97, 2: 1.0}, {0: 0.02, 1: 0.1, 2: 0.0})

    assert ends(found.best)[1] == 1.0
    assert ends(found.baseline)[0] == 0.0
    assert ends(found.change)[1] <= 1.0


def test_a_single_case_tells_no_interval() -> None:
    report = replace(make_report(), holdout=paired(loads(STUDY), {0: 0.9}, {0: 0.5}))

    assert holdout(report) == "0.900 on 1 unseen case, one common case: too few to say against the baseline"
