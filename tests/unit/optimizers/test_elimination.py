"""Which arms are beaten: few calls of a coin prove little, whatever they show."""

import numpy as np
import pytest

from convergence_cluster.optimizers.elimination import beaten
from convergence_cluster.optimizers.evidence import Evidence

LEADER, OTHER = 0, 1


def gone(n_failed: int) -> list[bool]:
    """Say who is beaten of a leader that passes 24 of 60 cases and an arm that failed on some, little believed in."""
    evidence = Evidence(np.ones(1000), can_repeat=False)
    evidence.add_arm()
    evidence.add_arm()
    for case in range(60):
        evidence.add(LEADER, case, float(case % 5 < 2))
    for case in range(n_failed):
        evidence.add(OTHER, case, 0.0)
    means, variances = np.array([0.4, 0.02]), np.array([0.004, 0.0004])
    evidence.adjust(means)
    return [bool(flag) for flag in beaten(LEADER, means, variances, evidence)]


@pytest.mark.parametrize("n_failed", [2, 4])
def test_an_arm_as_good_as_the_leader_may_fail_a_few_times_in_a_row(n_failed: int) -> None:
    assert 0.6**n_failed > 0.05

    assert gone(n_failed) == [False, False]


def test_one_that_fails_forty_times_is_beaten() -> None:
    assert gone(40) == [False, True]
