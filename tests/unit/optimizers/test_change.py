"""The change against the baseline."""

from dataclasses import replace

import numpy as np
import pytest

from convergence_cluster.domain.search import ArmState
from convergence_cluster.optimizers.belief import Belief
from convergence_cluster.optimizers.change import paired_change
from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.metrics import no_metrics

BELIEF = Belief(
    means=np.array([0.5, 0.7]),
    variances=np.array([0.03, 0.04]) ** 2,
    level_variances=np.zeros(2),
    shifts=np.full(2, -0.5),
    shift_variance=0.25,
    call_variances=np.full(2, 0.04),
    n_calls=np.full(2, 20),
    n_cases=np.full(2, 20),
    n_cases_in_all=40,
    enough=4,
    states=(ArmState.ALIVE,) * 2,
    configurations=({"x": 0}, {"x": 1}),
    operators=("pool",) * 2,
    metrics=no_metrics(2),
    objectives=(),
)


def _evidence(difference_noise: float) -> Evidence:
    """Return two arms on the same cases, which scatter by 0.2 and differ by 0.2 give or take some noise."""
    rng = np.random.default_rng(0)
    evidence = Evidence(np.ones(50), can_repeat=False)
    evidence.add_arm()
    evidence.add_arm()
    for case in range(20):
        score = 0.4 + 0.2 * rng.standard_normal()
        evidence.add(0, case, score)
        evidence.add(1, case, score + 0.2 + difference_noise * rng.standard_normal())
    return evidence


def test_the_change_is_the_difference_of_the_scores_that_are_reported() -> None:
    change = paired_change(_evidence(0.2), BELIEF, 1, 0)

    assert change.mean == pytest.approx((0.7 - 0.5 * 0.04) - 0.5)
    assert BELIEF.reported(1, 1)[0] - BELIEF.reported(0, 1)[0] == pytest.approx(change.mean)


def test_a_baseline_that_leads_as_well_disappoints_as_well() -> None:
    both = replace(BELIEF, means=np.array([0.69, 0.7]))

    assert paired_change(_evidence(0.2), both, 1, 0).mean == pytest.approx(0.01 - 0.5 * 0.04 + 0.5 * 0.03)


def test_the_interval_is_narrower_where_the_cases_are_hard_for_both() -> None:
    apart, alike = (paired_change(_evidence(noise), BELIEF, 1, 0) for noise in (0.3, 0.01))

    assert alike.high - alike.low < 0.6 * (apart.high - apart.low)


def test_a_score_cannot_rise_further_than_from_the_lowest_that_the_baseline_may_have() -> None:
    unknown = replace(BELIEF, variances=np.array([0.04, 0.25]), means=np.array([0.5, 0.9]))

    change = paired_change(_evidence(0.3), unknown, 1, 0)

    mean, variance = unknown.reported(0, 1)
    assert change.high == pytest.approx(1.0 - (mean - 1.644854 * variance**0.5))
    assert change.low <= change.mean <= change.high


def test_what_one_alone_has_seen_does_not_cancel() -> None:
    more = replace(BELIEF, n_cases=np.array([20, 200]))

    same, alone = (paired_change(_evidence(0.0), belief, 1, 0) for belief in (BELIEF, more))

    whole, kept = (alone.high - alone.low) ** 2, (same.high - same.low) ** 2
    independent = 4 * 1.644854**2 * (BELIEF.reported(0, 1)[1] + BELIEF.reported(1, 1)[1])
    shared = (2 * 20 / (20 * 200)) / (1 / 20 + 1 / 200)  # of the variance of the difference of the means
    assert kept / independent < 0.3
    assert whole / independent == pytest.approx(1 - shared * (1 - kept / independent))
