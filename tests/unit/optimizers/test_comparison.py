"""This study's scores against those of an earlier one."""

import numpy as np
import pytest

from convergence_cluster.domain.search import KnownArm
from convergence_cluster.optimizers.comparison import Comparison, Surprises
from convergence_cluster.optimizers.evidence import Evidence


def _evidence(*arms: dict[int, float]) -> Evidence:
    evidence = Evidence(np.ones(6), can_repeat=False)
    for arm, scores in enumerate(arms):
        evidence.add_arm()
        for case, score in scores.items():
            evidence.add(arm, case, score)
    return evidence


def _known(score: float, *cases: tuple[int, float]) -> KnownArm:
    return KnownArm(configuration={}, score=score, variance=0.01, cases=cases)


def _compared(evidence: Evidence, known: list[KnownArm], places: list[int], told: list[float]) -> Surprises:
    errors, calls = np.full(len(places), 0.04), np.full(len(places), 0.1)
    return Comparison(known, 6).surprises(np.array(places), np.array(told), evidence, errors, calls)


def test_an_arm_that_was_lucky_on_the_same_cases_before_is_no_surprise() -> None:
    lucky = _known(0.3, (0, 1.0), (1, 1.0), (2, 0.0), (3, 0.0))

    found = _compared(_evidence({0: 1.0, 1: 1.0}), [lucky], [0], [0.3])

    assert found.rests[0] == pytest.approx(0.0)
    assert found.paired[0] == 1.0
    assert found.errors[0] < 0.04


def test_on_other_cases_an_arm_is_compared_by_its_mean() -> None:
    found = _compared(_evidence({4: 0.9, 5: 0.7}), [_known(0.3, (0, 1.0))], [0], [0.3])

    assert found.rests[0] == pytest.approx(0.5)
    assert found.paired[0] == 0.0
    assert found.errors[0] == pytest.approx(0.04)


def test_an_arm_that_was_not_measured_is_compared_with_what_follows_from_others() -> None:
    found = _compared(_evidence({0: 0.2}, {0: 0.5}), [_known(0.3, (0, 0.2))], [0, -1], [0.3, 0.6])

    assert found.rests.tolist() == pytest.approx([0.0, -0.1])
    assert found.paired.tolist() == [1.0, 0.0]


def test_cells_that_answer_otherwise_each_time_leave_more_doubt() -> None:
    known = [_known(0.5, *((case, 0.5) for case in range(6)))]
    calm = _compared(_evidence(dict.fromkeys(range(6), 0.5)), known, [0], [0.5])
    noisy = _compared(_evidence({case: float(case % 2) for case in range(6)}), known, [0], [0.5])

    assert noisy.errors[0] > 3 * calm.errors[0] > 0.0


def test_only_some_arms_surprises_can_be_looked_at() -> None:
    found = _compared(_evidence({0: 0.2}, {0: 0.5}), [_known(0.3)], [0, -1], [0.3, 0.6])

    assert found.only(np.array([False, True])).rests.tolist() == pytest.approx([-0.1])
