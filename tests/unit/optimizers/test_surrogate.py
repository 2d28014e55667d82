"""The model of arms' means, against the normal equations written out."""

import numpy as np
import pytest

from convergence_cluster.optimizers.surrogate import Surrogate


def _features(
    rng: np.random.Generator, n: int, widths: tuple[int, ...]
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    blocks = [np.eye(width)[rng.integers(width, size=n)] for width in widths]
    return np.concatenate([np.ones((n, 1)), *blocks], axis=1)


def test_the_cavity_is_what_a_model_without_the_arm_predicts() -> None:
    rng = np.random.default_rng(0)
    x = _features(rng, 12, (3, 4))
    y, s = 0.5 + 0.1 * rng.standard_normal(12), rng.uniform(0.001, 0.01, size=12)
    model = Surrogate((3, 4), (0.5, 0.5))
    model.fit(x, y, s, np.ones(12))
    means, variances = model.cavity(x, y, s, np.ones(12))

    other = Surrogate((3, 4), (0.5, 0.5))
    other.group_variances, other.deviation = model.group_variances, model.deviation
    other.fit(x[1:], y[1:], s[1:], np.ones(11), n_rounds=0)
    mean, variance = other.predict(x[:1])

    assert means[0] == pytest.approx(mean[0], abs=1e-6)
    assert variances[0] == pytest.approx(variance[0], rel=1e-4)


def test_a_parameter_without_effect_loses_its_variance_and_the_other_keeps_its_own() -> None:
    rng = np.random.default_rng(1)
    x = _features(rng, 200, (6, 6))
    effects = np.array([-0.2, -0.1, 0.0, 0.05, 0.1, 0.2])
    y = 0.5 + x[:, 1:7] @ effects + 0.02 * rng.standard_normal(200)
    model = Surrogate((6, 6), (0.5, 0.5))

    for _ in range(30):
        model.fit(x, y, np.full(200, 1e-4), np.ones(200))

    assert model.group_variances[0] > 10 * model.group_variances[1]
    assert model.deviation == pytest.approx(0.0004, rel=0.6)


def test_an_empty_fit_changes_nothing() -> None:
    model = Surrogate((2,), (1.0,))

    model.fit(np.zeros((0, 3)), np.zeros(0), np.zeros(0), np.zeros(0))

    assert model.mean.tolist() == [0.5, 0.0, 0.0]


def test_arms_that_deviate_more_say_less_about_the_weights() -> None:
    x = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.0, 1.0]])
    y, s = np.array([0.2, 0.8, 0.5]), np.full(3, 1e-4)
    even, uneven = Surrogate((2,), (1.0,)), Surrogate((2,), (1.0,))

    even.fit(x, y, s, np.ones(3), n_rounds=0)
    uneven.fit(x, y, s, np.array([1.0, 20.0, 1.0]), n_rounds=0)

    assert uneven.predict(x)[0][0] < even.predict(x)[0][0] - 0.1
