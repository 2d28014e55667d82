"""Whether arms that look good turn out as good as believed."""

import numpy as np
import pytest

from convergence_cluster.optimizers.optimism import Optimism


@pytest.mark.parametrize("shift", [-1.0, 0.0])
def test_the_disappointment_is_found_in_units_of_what_was_uncertain(shift: float) -> None:
    rng = np.random.default_rng(0)
    optimism = Optimism()

    for _ in range(2000):
        deviation = rng.uniform(0.05, 0.15)
        optimism.tell(shift * deviation + 0.2 * rng.standard_normal(), deviation**2, 0.04)

    assert optimism.shift == pytest.approx(shift, abs=0.3)


def test_before_any_call_of_a_leader_half_a_deviation_is_taken_off_and_one_call_changes_little() -> None:
    optimism = Optimism()
    assert optimism.shift == -0.5

    optimism.tell(-0.5, 0.01, 0.2)

    assert -0.7 < optimism.shift < -0.5
    assert optimism.variance == pytest.approx(0.5, abs=0.02)
