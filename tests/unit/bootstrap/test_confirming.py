"""The final comparison."""

from statistics import fmean

import pytest

from convergence_cluster.bootstrap.confirming import by_weight
from convergence_cluster.spec.loading import loads

STUDY = """\
api: {name: x, endpoint: "https://example.com/v1"}
search_space: {parameters: {a: [1, 2]}}
evaluation:
  metrics: {success_rate: 1}
  test_cases: [{q: 1, weight: 1}, {q: 2, weight: 3}, {q: 3, weight: 2}]
"""


def test_a_case_counts_by_its_weight() -> None:
    study = loads(STUDY)
    scores = {0: 0.9, 1: 0.5}

    assert fmean(by_weight(study, scores)) == pytest.approx((1 * 0.9 + 3 * 0.5) / 4)
    assert by_weight(study, {2: 0.4}) == pytest.approx([0.4])
