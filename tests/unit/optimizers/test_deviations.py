"""How far arms lie from what the model says."""

from dataclasses import replace

import numpy as np
import pytest

from convergence_cluster.domain.space import SearchSpace
from convergence_cluster.optimizers.deviations import Deviations
from convergence_cluster.optimizers.genome import Codec
from convergence_cluster.optimizers.inheritance import Inheritance
from convergence_cluster.optimizers.surrogate import Prior

NOTHING_KNOWN = Inheritance(Codec(SearchSpace(parameters=())), (), 1)


def _prior(means: np.ndarray[tuple[int], np.dtype[np.float64]], variance: float = 1e-6) -> Prior:
    n = len(means)
    told = NOTHING_KNOWN.told(np.zeros((n, 0)))
    return Prior(means=means, variances=np.full(n, variance), scales=np.ones(n), told=told)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.04), (0.3, 0.2, 0.4)])
def test_the_share_of_arms_far_from_the_model_is_estimated(share: float, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    n = 300
    expected = rng.uniform(0.3, 0.7, size=n)
    is_lost = rng.random(n) < share
    means = np.where(is_lost, 0.5 + 0.24 * rng.standard_normal(n), expected + 0.02 * rng.standard_normal(n))
    deviations = Deviations(0.0004, NOTHING_KNOWN)

    for _ in range(20):
        deviations.fit(means, np.full(n, 1e-4), _prior(expected), 0.0004, expected)

    assert low <= deviations.lost + deviations.odd <= high


def test_without_an_odd_arm_their_share_falls_with_the_arms_seen() -> None:
    rng = np.random.default_rng(1)
    deviations, shares = Deviations(0.0004, NOTHING_KNOWN), []

    for n in (50, 500):
        expected = rng.uniform(0.3, 0.5, size=n)
        means = expected + 0.02 * rng.standard_normal(n)
        for _ in range(20):
            deviations.fit(means, np.full(n, 1e-4), _prior(expected), 0.0004, expected)
        shares.append(deviations.odd)

    assert shares[0] > 3 * shares[1] > 0.0


def test_the_factor_of_an_arm_widens_the_part_near_the_model() -> None:
    prior = replace(_prior(np.array([0.1, 0.2]), 0.0), scales=np.array([1.0, 9.0]))

    parts = Deviations(0.01, NOTHING_KNOWN).prior(prior)

    assert parts.variances[0].tolist() == pytest.approx([0.01, 0.09])
    assert parts.shares.sum(axis=0).tolist() == pytest.approx([1.0, 1.0])
