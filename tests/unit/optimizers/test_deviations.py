"""How far arms lie from what the model says."""

import numpy as np
import pytest

from convergence_cluster.optimizers.deviations import Deviations, Parts, joined, posterior
from convergence_cluster.optimizers.surrogate import Prior


def test_a_posterior_is_the_bayes_rule_on_a_grid() -> None:
    prior = Parts(
        shares=np.array([[0.9], [0.1]]), means=np.array([[0.3], [0.5]]), variances=np.array([[0.002], [0.05]])
    )
    grid = np.linspace(-2, 3, 200_001)

    after = posterior(prior, np.array([0.7]), np.full((2, 1), 0.01))

    density = sum(
        share * np.exp(-0.5 * (grid - mean) ** 2 / variance) / variance**0.5
        for share, mean, variance in ((0.9, 0.3, 0.002), (0.1, 0.5, 0.05))
    ) * np.exp(-0.5 * (grid - 0.7) ** 2 / 0.01)
    density /= density.sum()
    mean = float(density @ grid)
    got_mean, got_variance = after.moments()
    assert got_mean[0] == pytest.approx(mean, abs=1e-6)
    assert got_variance[0] == pytest.approx(float(density @ (grid - mean) ** 2), rel=1e-4)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.04), (0.3, 0.2, 0.4)])
def test_the_share_of_lost_arms_is_estimated(share: float, low: float, high: float) -> None:
    rng = np.random.default_rng(0)
    n = 300
    expected = rng.uniform(0.3, 0.7, size=n)
    is_lost = rng.random(n) < share
    means = np.where(is_lost, 0.5 + 0.24 * rng.standard_normal(n), expected + 0.02 * rng.standard_normal(n))
    deviations = Deviations(0.0004)

    for _ in range(5):
        prior = Prior(means=expected, variances=np.full(n, 1e-6))
        deviations.fit(means, np.full(n, 1e-4), prior, 0.0004, expected)

    assert low <= deviations.lost <= high


def test_joined_mixtures_keep_their_order() -> None:
    left = Deviations(0.01).prior(np.array([0.1, 0.2]), np.zeros(2))
    right = Deviations(0.01).prior(np.array([0.3]), np.zeros(1))

    assert joined(left, right).means[0].tolist() == [0.1, 0.2, 0.3]
