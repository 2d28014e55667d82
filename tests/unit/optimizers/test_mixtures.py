"""Mixtures of normals, against grids, sampling and the normal distribution itself."""

from statistics import NormalDist

import numpy as np
import pytest

from convergence_cluster.optimizers.mixtures import N_PARTS, Elsewhere, Parts, chance_above, joined, p_within, posterior


def _one(mean: float, deviation: float) -> Parts:
    return Parts(
        shares=np.eye(N_PARTS)[:, :1], means=np.full((N_PARTS, 1), mean), variances=np.full((N_PARTS, 1), deviation**2)
    )


NOWHERE = Elsewhere(count=0, share=0.1, mean=0.5, variance=1 / 12)


def test_a_posterior_is_the_bayes_rule_on_a_grid() -> None:
    parts = ((0.85, 0.3, 0.002), (0.1, 0.5, 0.05), (0.05, 0.6, 0.08))
    shares, means, variances = (np.array([[part[k]] for part in parts]) for k in range(3))
    grid = np.linspace(-2, 3, 200_001)

    after = posterior(Parts(shares=shares, means=means, variances=variances), np.array([0.7]), np.full((3, 1), 0.01))

    density = sum(s * np.exp(-0.5 * (grid - m) ** 2 / v) / v**0.5 for s, m, v in parts)
    density *= np.exp(-0.5 * (grid - 0.7) ** 2 / 0.01)
    density /= density.sum()
    mean = float(density @ grid)
    got_mean, got_variance = after.moments()
    assert got_mean[0] == pytest.approx(mean, abs=1e-6)
    assert got_variance[0] == pytest.approx(float(density @ (grid - mean) ** 2), rel=1e-4)


def test_joined_mixtures_keep_their_order() -> None:
    both = joined(joined(_one(0.1, 0.1), _one(0.2, 0.1)), _one(0.3, 0.1))

    assert both.means[0].tolist() == [0.1, 0.2, 0.3]


@pytest.mark.parametrize("bar", [0.2, 0.55, 0.9])
def test_the_chance_above_a_bar_is_the_normal_one_with_what_exceeds_1_folded_back(bar: float) -> None:
    normal = NormalDist(0.6, 0.3)

    found = chance_above(_one(0.6, 0.3), np.array([bar]))[0, 0]

    assert found == pytest.approx(normal.cdf(2.0 - bar) - normal.cdf(bar), abs=1e-6)


def test_nothing_is_above_1() -> None:
    assert chance_above(_one(0.99, 0.3), np.array([1.0, 1.2])).tolist() == [[0.0], [0.0]]


def test_the_chance_to_be_the_best_of_two_is_that_of_their_difference() -> None:
    found = p_within(_one(0.6, 0.03), _one(0.55, 0.04), NOWHERE, 0.0)

    assert found == pytest.approx(NormalDist().cdf(0.05 / 0.05), abs=0.005)


def test_many_arms_nobody_looked_at_leave_a_doubt_that_few_do_not() -> None:
    mine, rival = _one(0.6, 0.001), _one(0.3, 0.001)

    doubts = [
        1.0 - p_within(mine, rival, Elsewhere(count=n, share=0.01, mean=0.5, variance=1 / 12), 0.01) for n in (1, 1000)
    ]

    assert doubts[0] < 0.01
    assert doubts[1] > 0.9


def test_the_best_of_those_elsewhere_is_the_best_of_so_many_draws() -> None:
    rng = np.random.default_rng(0)
    elsewhere = Elsewhere(count=200, share=0.05, mean=0.5, variance=0.01)

    drawn = elsewhere.best(4000, rng)
    by_hand = [
        max(0.5 + 0.1 * rng.standard_normal(k)) if (k := int((rng.random(200) < 0.05).sum())) else -1.0
        for _ in range(4000)
    ]

    assert np.mean(drawn) == pytest.approx(np.mean(by_hand), abs=0.01)
    assert np.std(drawn) == pytest.approx(np.std(by_hand), abs=0.02)
