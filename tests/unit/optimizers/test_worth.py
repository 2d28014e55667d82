"""What calls of an arm are worth."""

import numpy as np
import pytest

from convergence_cluster.optimizers.mixtures import N_PARTS, Parts
from convergence_cluster.optimizers.worth import most_worth, worth_of_calls


def _parts(means: list[float], deviations: list[float]) -> Parts:
    shares = np.eye(N_PARTS)[:, :1].repeat(len(means), axis=1)
    return Parts(shares=shares, means=np.array([means] * N_PARTS), variances=np.array([deviations] * N_PARTS) ** 2)


def _most(parts: Parts, bar: float, able: list[bool] | None = None, chances: list[float] | None = None) -> int | None:
    n = parts.means.shape[1]
    return most_worth(
        parts,
        bar,
        np.full(n, 0.04),
        np.ones(n, dtype=bool) if able is None else np.array(able),
        np.ones(n) if chances is None else np.array(chances),
    )


def test_the_worth_of_a_call_is_what_simulated_calls_bring() -> None:
    rng = np.random.default_rng(0)
    parts, bar, noise = _parts([0.55], [0.1]), 0.6, 0.04
    truth = 0.55 + 0.1 * rng.standard_normal(400_000)

    def simulated(size: int) -> float:
        seen = truth + (noise / size) ** 0.5 * rng.standard_normal(len(truth))
        kept = 0.01 / (0.01 + noise / size)
        return float(np.maximum(0.55 + kept * (seen - 0.55) - bar, 0.0).mean()) / size

    best = max(simulated(size) for size in (1, 4, 16))

    assert worth_of_calls(parts, bar, np.array([noise]))[0] == pytest.approx(best, rel=0.03)


def test_an_arm_of_few_calls_is_worth_more_than_one_that_is_known_to_be_nearly_as_good() -> None:
    parts = _parts([0.597, 0.35], [0.004, 0.12])

    assert _most(parts, 0.603) == 1


def test_where_the_first_few_calls_alone_would_change_nothing_more_of_them_count() -> None:
    # One call moves this arm by a 25th of what it lacks: alone worth nothing that a float holds.
    assert worth_of_calls(_parts([0.5], [0.02]), 0.52, np.array([0.25]))[0] > 1e-7


def test_neither_what_cannot_be_called_nor_what_is_known_is_worth_calls() -> None:
    assert _most(_parts([0.7, 0.5], [0.1, 0.1]), 0.6, able=[False, True]) == 1
    assert _most(_parts([0.5, 0.5], [0.1, 0.1]), 0.6, able=[False, False]) is None
    assert _most(_parts([0.5, 0.4], [1e-4, 1e-4]), 0.6) is None


def test_what_is_likely_to_be_nothing_is_worth_less() -> None:
    parts = _parts([0.5, 0.55], [0.1, 0.1])

    assert _most(parts, 0.6) == 1
    assert _most(parts, 0.6, chances=[1.0, 0.01]) == 0


def test_among_very_many_arms_the_hopeful_ones_are_looked_at() -> None:
    n = 20_000
    means, deviations = [0.3] * n, [0.01] * n
    means[12_345], deviations[12_345] = 0.55, 0.1

    assert _most(_parts(means, deviations), 0.6) == 12_345
