"""Cases that draw the differences between arms out or press them together."""

import numpy as np
import pytest
from numpy.typing import NDArray

from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.slopes import CaseSlopes

N_ARMS, N_CASES = 16, 40
Floats = NDArray[np.float64]


def _bundle(rng: np.random.Generator, slope: float, noise: float) -> tuple[Floats, Floats]:
    """Return cells whose lines have slopes that vary by so much, shape (N_ARMS, N_CASES), and the slopes less 1."""
    quality = np.linspace(-0.2, 0.2, N_ARMS)
    slopes = slope * rng.standard_normal(N_CASES)
    slopes -= slopes.mean()
    easiness = 0.1 * rng.standard_normal(N_CASES)
    cells = 0.5 + easiness + quality[:, None] * (1.0 + slopes) + noise * rng.standard_normal((N_ARMS, N_CASES))
    return cells, slopes


def _seen(cells: Floats, n_cases: int, weights: Floats | None = None) -> Evidence:
    evidence = Evidence(np.ones(N_CASES) if weights is None else weights, can_repeat=False)
    for arm, row in enumerate(cells):
        evidence.add_arm()
        for case in range(n_cases):
            evidence.add(arm, case, float(row[case]))
    for _ in range(20):
        evidence.adjust(evidence.means())
    return evidence


def test_slopes_are_found_where_lines_are_not_parallel() -> None:
    cells, slopes = _bundle(np.random.default_rng(0), slope=0.5, noise=0.01)

    evidence = _seen(cells, N_CASES)

    assert evidence.slopes.values == pytest.approx(slopes, abs=0.1)
    assert evidence.call_variances(evidence.means()).max() < 4 * 0.01**2


@pytest.mark.parametrize("seed", range(5))
def test_no_slope_where_lines_are_parallel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cells, _ = _bundle(rng, slope=0.0, noise=0.05)
    coins = (rng.random((N_ARMS, N_CASES)) < cells).astype(float)

    assert not _seen(cells, N_CASES).slopes.values.any()
    assert not _seen(coins, 10).slopes.values.any()


def test_arms_of_a_few_calls_are_known_to_be_in_the_right_order() -> None:
    cells, _ = _bundle(np.random.default_rng(1), slope=0.5, noise=0.002)

    evidence = _seen(cells, 3)

    assert np.argsort(evidence.means()).tolist() == list(range(N_ARMS))
    gap = np.diff(evidence.means()).min()
    assert evidence.errors(evidence.means()).max() ** 0.5 < gap


def test_how_far_the_arms_lie_apart_is_as_unsure_as_the_cases_not_yet_seen_leave_it() -> None:
    errors, allowed = [], []
    for seed in range(40):
        cells, _ = _bundle(np.random.default_rng(seed), slope=0.5, noise=0.002)
        evidence = _seen(cells, 4)
        level = evidence.effects.level_variance()
        means = evidence.means()
        apart = (means[-1] - means[0]) - (cells[-1].mean() - cells[0].mean())
        errors.append(apart**2)
        rest = evidence.level_variances(means) - level
        allowed.append((rest[-1] ** 0.5 + rest[0] ** 0.5) ** 2)

    assert 0.5 < np.mean(errors) / np.mean(allowed) < 2.0


def test_an_arm_that_has_seen_every_case_scores_its_weighted_mean() -> None:
    rng = np.random.default_rng(2)
    cells, _ = _bundle(rng, slope=0.5, noise=0.01)
    cells += np.linspace(-0.2, 0.2, N_CASES)
    weights = np.linspace(0.2, 3.0, N_CASES)

    evidence = _seen(cells, N_CASES, weights)

    assert evidence.means() == pytest.approx(cells @ weights / weights.sum(), abs=1e-9)
    assert evidence.level_variances(evidence.means()).max() < 1e-12


def test_one_case_says_nothing_of_slopes() -> None:
    slopes = CaseSlopes(np.ones(3))

    slopes.fit(np.zeros(8, dtype=np.int64), np.arange(8.0), np.arange(8.0), 8)

    assert not slopes.values.any()


def test_a_case_on_which_one_of_two_nearly_equal_arms_failed_has_no_wild_slope() -> None:
    cells, _ = _bundle(np.random.default_rng(2), slope=0.5, noise=0.01)
    centres = cells.mean(axis=1)
    arm, case = np.indices((N_ARMS, 10)).reshape(2, -1)
    arm, case = np.append(arm, [7, 8]), np.append(case, [10, 10])
    scores = cells[arm, case]
    scores[-1] = 0.0
    slopes = CaseSlopes(np.ones(N_CASES))

    slopes.fit(case, scores - centres[arm], centres[arm], N_ARMS)

    assert abs(scores[-2] - scores[-1]) > 10 * abs(centres[7] - centres[8])
    assert 0.3 < abs(slopes.values).max() < 4.0


@pytest.mark.parametrize("seed", range(5))
def test_the_luck_of_one_arm_far_from_all_others_is_no_slope(seed: int) -> None:
    """Its own scores alone would be lines that fit perfectly, and what is left of its noise would be next to none."""
    rng = np.random.default_rng(seed)
    cells = (rng.random((N_ARMS, 10)) < 0.01).astype(float)
    cells[0] = rng.permutation([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    evidence = _seen(cells, 10)

    evidence.adjust(np.append(0.4, np.full(N_ARMS - 1, 0.01)))

    assert not evidence.slopes.values.any()
    assert evidence.errors(evidence.means())[0] ** 0.5 > 0.1
