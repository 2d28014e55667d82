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

    assert optimism.shifts(np.array([0.1])) == pytest.approx([shift], abs=0.3)


def test_leaders_are_expected_to_disappoint_while_their_own_calls_say_little() -> None:
    optimism = Optimism()
    assert optimism.shifts(np.array([0.0, 0.2, 0.4, 2.0])) == pytest.approx([0.0, -0.3, -0.6, -1.0])

    optimism.tell(-0.5, 0.01, 0.2)

    assert -0.2 < optimism.shifts(np.zeros(1))[0] < 0.0
    assert optimism.variance == pytest.approx(0.5, abs=0.02)
