"""Sums per arm, against the formulas written out."""

import numpy as np
import pytest

from convergence_cluster.domain.search import KnownCase
from convergence_cluster.optimizers.evidence import Evidence, Sum
from convergence_cluster.optimizers.noise import CaseEffects


def test_the_error_of_a_mean_vanishes_when_every_case_is_seen() -> None:
    evidence = Evidence(np.ones(5), can_repeat=False)
    evidence.add_arm()

    for case in range(5):
        evidence.add(0, case, 0.2 * case)

    assert evidence.means()[0] == pytest.approx(0.4)
    assert evidence.errors(evidence.means())[0] < 1e-9


def test_the_error_of_a_mean_is_that_of_a_finite_population() -> None:
    evidence = Evidence(np.ones(10), can_repeat=False)
    evidence.add_arm()

    for case in range(4):
        evidence.add(0, case, float(case % 2))

    variance = evidence.call_variances(evidence.means())[0]
    assert evidence.errors(evidence.means())[0] == pytest.approx(variance * (1 / 4 - 1 / 10))


def test_weights_count_in_mean_and_error() -> None:
    weights, scores = np.array([1.0, 2.0, 3.0, 4.0]), [0.1, 0.9, 0.4, 0.6]
    evidence = Evidence(weights, can_repeat=False)
    evidence.add_arm()

    for case in (0, 3):
        evidence.add(0, case, scores[case])

    variance = evidence.call_variances(evidence.means())[0]
    expected = variance * ((5 / 10) ** 2 * (1 + 16) / 25 + (4 + 9) / 100)
    assert evidence.means()[0] == pytest.approx((0.1 * 1 + 0.6 * 4) / 5)
    assert evidence.errors(evidence.means())[0] == pytest.approx(expected)


def test_case_effects_are_taken_off_so_that_an_arm_on_easy_cases_does_not_look_good() -> None:
    rng = np.random.default_rng(0)
    easiness = np.linspace(-0.3, 0.3, 20)
    evidence = Evidence(np.ones(20), can_repeat=False)
    for arm in range(12):
        evidence.add_arm()
        cases = range(20) if arm else range(14, 20)
        for case in cases:
            evidence.add(arm, case, 0.5 + easiness[case] + 0.02 * rng.standard_normal())

    for _ in range(10):
        evidence.adjust(evidence.means())

    assert evidence.means()[0] == pytest.approx(0.5, abs=0.03)
    assert evidence.noise.flat + evidence.noise.curved * 0.25 < 0.002


def test_noise_of_binary_scores_follows_the_mean() -> None:
    rng = np.random.default_rng(1)
    evidence = Evidence(np.ones(200), can_repeat=False)
    rates = np.repeat([0.05, 0.5, 0.95], 10)
    for arm, rate in enumerate(rates):
        evidence.add_arm()
        for case in range(60):
            evidence.add(arm, case, float(rng.random() < rate))

    evidence.adjust(evidence.means())

    expected = evidence.noise.expected(np.full(2, 100.0), np.array([0.05, 0.5]))
    assert expected == pytest.approx([0.0475, 0.25], rel=0.15)


@pytest.mark.parametrize(("noise", "low", "high"), [(0.0, 0.0, 0.05), (0.1, 0.2, 0.9)])
def test_the_noise_of_repeats_is_measured(noise: float, low: float, high: float) -> None:
    rng = np.random.default_rng(2)
    evidence = Evidence(np.ones(8), can_repeat=True)
    for arm in range(20):
        evidence.add_arm()
        cells = 0.5 + 0.1 * rng.standard_normal(8)
        for _ in range(3):
            for case in range(8):
                evidence.add(arm, case, cells[case] + noise * rng.standard_normal())

    evidence.adjust(evidence.means())

    assert low <= evidence.noise.share_within <= high


def test_the_common_cases_of_two_arms_are_found() -> None:
    evidence = Evidence(np.ones(4), can_repeat=False)
    evidence.add_arm()
    evidence.add_arm()
    for case, score in ((0, 0.1), (2, 0.3)):
        evidence.add(0, case, score)
    for case, score in ((2, 0.7), (3, 0.9)):
        evidence.add(1, case, score)

    left, right = evidence.common(0, 1)

    assert left.tolist() == [0.3]
    assert right.tolist() == [0.7]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_what_earlier_studies_found_of_the_cases_is_used_only_where_it_is_seen_again(sign: float) -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0.0, 0.2, size=40)
    effects = CaseEffects(np.ones(40), [KnownCase(case=k, effect=float(truth[k]), n_arms=50) for k in range(40)])
    cases = np.tile(np.arange(8), 10)

    effects.fit(cases, sign * truth[cases] + 0.1 * rng.standard_normal(80), 10)

    unseen = effects.values[8:]
    expected = truth[8:] - truth.mean() if sign > 0 else np.zeros(32)
    assert unseen == pytest.approx(expected, abs=0.1)
    assert (np.abs(unseen).max() > 1e-9) == (sign > 0)


def test_an_arm_that_has_seen_every_case_scores_its_weighted_mean() -> None:
    rng = np.random.default_rng(0)
    weights, easiness = np.linspace(0.2, 3.0, 20), np.linspace(-0.25, 0.25, 20)
    cells = 0.4 + 0.03 * np.arange(8)[:, None] + easiness + 0.02 * rng.standard_normal((8, 20))
    evidence = Evidence(weights, can_repeat=False)
    for arm, row in enumerate(cells):
        evidence.add_arm()
        for case, score in enumerate(row):
            evidence.add(arm, case, float(score))

    for _ in range(10):
        evidence.adjust(evidence.means())

    assert evidence.effects.values.any()
    assert evidence.means() == pytest.approx(cells @ weights / weights.sum())
    assert evidence.effects.level_variance() == 0.0


@pytest.mark.parametrize(("changes", "least", "most"), [(0, 0.1, 0.3), (4, 0.5, 1.0)])
def test_a_few_repeats_of_coins_that_change_nothing_do_not_prove_that_none_ever_will(
    changes: int, least: float, most: float
) -> None:
    rng = np.random.default_rng(0)
    evidence = Evidence(np.ones(40), can_repeat=True)
    for arm in range(6):
        evidence.add_arm()
        for case in range(40):
            evidence.add(arm, case, float(rng.random() < 0.8))
    for case in range(16):
        score = evidence.cells()[2][case]
        evidence.add(0, case, 1.0 - score if case < changes else score)

    evidence.adjust(evidence.means())

    assert least < evidence.noise.share_within < most


def test_repeats_of_measurements_that_change_nothing_soon_prove_that_none_will() -> None:
    rng = np.random.default_rng(0)
    evidence = Evidence(np.ones(40), can_repeat=True)
    for arm in range(6):
        evidence.add_arm()
        for case in range(40):
            evidence.add(arm, case, 0.5 + 0.02 * rng.standard_normal())
    for case in range(16):
        evidence.add(0, case, evidence.cells()[2][case])

    evidence.adjust(evidence.means())

    assert evidence.noise.share_within < 0.1


def test_the_cases_not_seen_leave_what_their_weights_say_and_nothing_where_there_are_none() -> None:
    rng = np.random.default_rng(2)
    weights = np.exp(2.0 * rng.standard_normal(40))
    seen, missed, expected = np.arange(20), [], []
    for _ in range(300):
        easiness = 0.1 * rng.standard_normal(40)
        effects = CaseEffects(weights)
        effects.fit(np.tile(seen, 6), np.tile(easiness[:20], 6) + 0.02 * rng.standard_normal(120), 6)
        missed.append(easiness[:20] @ weights[:20] / weights[:20].sum() - easiness @ weights / weights.sum())
        expected.append(effects.level_variance())
    single = CaseEffects(np.ones(1))
    single.fit(np.zeros(1, dtype=np.int64), np.array([0.3]), 1)

    assert np.mean(expected) == pytest.approx(np.var(missed), rel=0.25)
    assert single.level_variance() == 0.0


def test_repeats_change_the_scatter_as_a_fit_anew_does() -> None:
    rng = np.random.default_rng(4)
    evidence = Evidence(np.ones(6), can_repeat=True, with_effects=False)
    for arm in range(12):
        evidence.add_arm()
        for case in range(6):
            evidence.add(arm, case, float(0.5 + 0.1 * rng.standard_normal()))
    evidence.adjust(np.full(12, 0.5))
    for arm in range(12):
        for case in [0, 1, 2] * 3:
            evidence.add(arm, case, float(0.5 + 0.1 * rng.standard_normal()))

    kept = evidence._sums.copy()
    evidence.adjust(np.full(12, 0.5))

    def scatter(sums: np.ndarray) -> np.ndarray:
        return np.asarray((sums[Sum.RR] - sums[Sum.R] ** 2 / np.maximum(sums[Sum.CELLS], 1.0))[:12])

    assert scatter(kept) == pytest.approx(scatter(evidence._sums), rel=0.2)


@pytest.mark.parametrize("side", [0.0, 1.0])
def test_an_arm_that_never_changed_sides_is_known_no_better_than_so_many_coins_can_tell(side: float) -> None:
    rng = np.random.default_rng(0)
    evidence = Evidence(np.ones(1000), can_repeat=False)
    rare = np.append(np.exp(rng.normal(-4.0, 1.0, 40)), 0.0)
    for arm, share in enumerate(rare):
        evidence.add_arm()
        for case in rng.permutation(1000)[: 100 if share == 0.0 else 40]:
            evidence.add(arm, int(case), abs(side - float(rng.random() < share)))
    for _ in range(5):
        evidence.adjust(evidence.means())

    error = float(evidence.errors(evidence.means())[-1])

    beta = 0.5 * 100.5 / (101.0**2 * 102.0)  # of a coin that fell 100 times on one side, with half a call for each side
    assert 0.5 * beta < error < 2.0 * beta
