"""What alike arms share on single cases."""

from dataclasses import fields

import numpy as np
import pytest
from numpy.typing import NDArray

from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.interplay import (
    UNEXPLAINED,
    Cells,
    Explained,
    Interplay,
    Kin,
    _variances,
)
from convergence_cluster.optimizers.interplay_solver import by_cells, by_features

Floats = NDArray[np.float64]

N_ARMS, N_CASES, NOISE = 40, 100, 0.1
DOUBT = 1e-4
LEVEL = np.arange(N_ARMS) % 4
FEATURES = np.column_stack([np.ones(N_ARMS), np.eye(4)[LEVEL]])
GROUP = slice(1, 5)


def _scores(shared: float, seed: int = 0) -> Floats:
    """Return scores of 40 arms of 4 models on 100 cases; each model has its own strengths, which even out."""
    rng = np.random.default_rng(seed)
    common = shared * rng.standard_normal((4, N_CASES))
    scores = 0.5 + common[LEVEL] + NOISE * rng.standard_normal((N_ARMS, N_CASES))
    return np.asarray(scores - scores.mean(axis=1, keepdims=True) + 0.5)


def _cells(scores: Floats, counts: list[int]) -> Cells:
    arm = np.repeat(np.arange(N_ARMS), counts)
    case = np.concatenate([np.arange(count) for count in counts])
    rests = scores[arm, case] - 0.5
    own = np.bincount(arm, weights=rests) / np.array(counts)
    return Cells(
        arm=arm, case=case, own_rests=rests - own[arm], rests=rests,
        doubts=np.full(len(arm), DOUBT), noises=np.ones(len(arm)),
    )  # fmt: skip


def _evidence(scores: Floats, counts: list[int], interplay: Interplay) -> Evidence:
    evidence = Evidence(np.ones(N_CASES), can_repeat=False)
    for arm, count in enumerate(counts):
        evidence.add_arm()
        for case in range(count):
            evidence.add(arm, case, float(scores[arm, case]))
    evidence.adjust(np.full(N_ARMS, 0.5), Kin(interplay=interplay, features=FEATURES, doubts=np.full(N_ARMS, DOUBT)))
    return evidence


def test_independent_noise_is_not_explained() -> None:
    interplay = Interplay([GROUP], np.ones(N_CASES))

    explained, doubts = interplay.fit(FEATURES, _cells(_scores(0.0), [6] * N_ARMS))

    assert (explained == 0.0).all()
    assert (doubts == 0.0).all()
    assert interplay.variance(FEATURES).max() == 0.0
    assert interplay.at(FEATURES[0], 0) == UNEXPLAINED


def test_what_chance_makes_of_few_cases_is_hardly_ever_explained() -> None:
    found = 0
    for seed in range(50):
        interplay = Interplay([GROUP], np.ones(N_CASES))
        interplay.fit(FEATURES, _cells(_scores(0.0, seed), [3] * 10 + [1] * 30))
        found += interplay.usual > 0.0

    assert found <= 2


def test_what_is_sure_but_small_is_not_explained() -> None:
    interplay = Interplay([GROUP], np.ones(N_CASES))

    interplay.fit(FEATURES, _cells(_scores(0.025), [N_CASES] * N_ARMS))  # 6 % of the residuals' variance

    assert interplay.usual == 0.0


def test_what_a_model_does_on_the_first_cases_is_trusted_less() -> None:
    interplay = Interplay([GROUP], np.ones(N_CASES))

    interplay.fit(FEATURES, _cells(_scores(0.2), [6] * N_ARMS))

    expected = 0.04 * (1 / 6 - 1 / N_CASES)
    assert 0.4 * expected < interplay.variance(FEATURES).mean() < 2.0 * expected


def test_one_arm_of_a_model_on_every_case_makes_its_kin_trusted() -> None:
    interplay = Interplay([GROUP], np.ones(N_CASES))

    interplay.fit(FEATURES, _cells(_scores(0.2), [N_CASES] * 4 + [6] * 36))

    few = 0.04 * (1 / 6 - 1 / N_CASES)
    assert interplay.variance(FEATURES).max() < 0.2 * few


@pytest.mark.parametrize("solve", [by_cells, by_features])
def test_a_cell_is_explained_without_its_own_score(solve: object) -> None:
    rng = np.random.default_rng(3)
    x, rests, noises = rng.standard_normal((1, 7, 3)), rng.standard_normal((1, 7)), 0.5 + rng.random((1, 7))
    variances = np.array([0.3, 0.3, 0.8])

    solved = solve(x, rests, noises, variances)  # type: ignore[operator]

    for cell in range(7):
        kept = np.arange(7) != cell
        alone = x[0][kept]
        total = alone @ np.diag(variances) @ alone.T + np.diag(noises[0][kept])
        expected = x[0][cell] @ np.diag(variances) @ alone.T @ np.linalg.solve(total, rests[0][kept])
        assert rests[0, cell] - solved.without[0, cell] == pytest.approx(expected)
        spread = x[0][cell] @ np.linalg.inv(alone.T / noises[0][kept] @ alone + np.diag(1 / variances)) @ x[0][cell]
        assert solved.spreads[0, cell] - noises[0, cell] == pytest.approx(spread)
    everything = x[0] @ np.diag(variances) @ x[0].T + np.diag(noises[0])
    assert solved.weights[0] == pytest.approx(np.diag(variances) @ x[0].T @ np.linalg.solve(everything, rests[0]))
    covariance = np.linalg.inv(x[0].T / noises[0] @ x[0] + np.diag(1 / variances))
    assert solved.doubts[0] == pytest.approx(covariance.diagonal())


def test_what_fills_cases_up_to_one_size_does_not_count() -> None:
    """Cases are solved together with those of the next power of two; each alone gives the same."""
    cells = _cells(_scores(0.2), [N_CASES - 2 * arm for arm in range(N_ARMS)])
    noises = np.full(len(cells.arm), 0.01)
    interplay = _with_group()
    interplay.fit(FEATURES, cells)

    left, spreads = interplay._leave_out(FEATURES[:, GROUP], cells, noises)

    for case in (0, 37, 60, 97):
        here = cells.case == case
        x, rest = FEATURES[cells.arm[here]][:, GROUP][None], cells.rests[here][None]
        alone = by_cells(x, rest, noises[here][None], interplay._variances)
        assert left[here] == pytest.approx((rest - alone.without)[0])
        assert spreads[here] == pytest.approx(alone.spreads[0] - 0.01)
        assert interplay._values[case] == pytest.approx(alone.weights[0])


def test_an_arm_on_every_case_keeps_its_own_mean() -> None:
    scores = _scores(0.2)

    evidence = _evidence(scores, [N_CASES] * 4 + [10] * 36, _with_group())

    effects = evidence.effects.values.mean()
    assert evidence.means()[:4] + effects == pytest.approx(scores[:4].mean(axis=1), abs=1e-9)


@pytest.mark.parametrize(("groups", "most"), [([GROUP], 0.0025), ([], 0.009)])
def test_kin_that_saw_every_case_make_few_cases_enough(groups: list[slice], most: float) -> None:
    """Where its model's strengths are known from another arm, ten cases of an arm say more than twice as much."""
    errors, claims = [], []
    for seed in range(20):
        interplay = Interplay(groups, np.ones(N_CASES))
        evidence = _evidence(_scores(0.2, seed), [N_CASES] * 4 + [10] * 36, interplay)
        errors.append(float(((evidence.means()[4:] - 0.5) ** 2).mean()))
        claims.append(float(evidence.errors(np.full(N_ARMS, 0.5))[4:].mean()))

    assert np.mean(errors) < most
    assert 0.8 * np.mean(errors) < np.mean(claims) < 3.0 * np.mean(errors)


def test_a_new_score_is_judged_by_what_kin_did_on_that_case() -> None:
    scores = _scores(0.2)
    interplay = _with_group()
    evidence = _evidence(scores, [4] + [20] * 39, interplay)

    rests = [
        evidence.surprise(case, float(scores[0, case]) - interplay.at(FEATURES[0], case).value, 0.5)
        for case in range(4, 20)
    ]

    assert np.std(rests) < 0.7 * np.std(scores[0, 4:20])


def test_an_arm_without_kin_on_a_case_is_judged_with_doubt() -> None:
    """Three models were called on case 0; what they did there says little of the fourth."""
    scores = _scores(0.2)
    cells = _cells(scores, [20] * N_ARMS)
    kept = (cells.case > 0) | ((LEVEL[cells.arm] > 0) | (cells.arm == 0))
    some = {field.name: getattr(cells, field.name)[kept] for field in fields(cells)}
    interplay = _with_group()

    _, doubts = interplay.fit(FEATURES, Cells(**some))

    lonely = (some["arm"] == 0) & (some["case"] == 0)
    assert doubts[lonely] == pytest.approx(0.04, rel=0.5)
    assert doubts[~lonely] == pytest.approx(interplay.usual / 20, rel=0.2)
    assert interplay.at(FEATURES[4], 50).doubt > 1.5 * interplay.at(FEATURES[4], 5).doubt


def test_what_kin_add_is_never_wild() -> None:
    interplay = _with_group()
    scores = _scores(0.2)
    scores[LEVEL == 0, 3] += 4.0

    explained, _ = interplay.fit(FEATURES, _cells(scores, [20] * N_ARMS))

    most = 2 * interplay.usual**0.5
    assert explained.max() == pytest.approx(most, rel=0.2)
    assert interplay.at(FEATURES[0], 3).value == pytest.approx(most, rel=0.2)


def test_arms_of_a_single_case_teach_nothing() -> None:
    scores = _scores(0.2)
    with_singles, without = _with_group(), _with_group()
    cells = _cells(scores, [20] * 20 + [1] * 20)
    kept = cells.arm < 20

    with_singles.fit(FEATURES, cells)
    without.fit(FEATURES, Cells(**{field.name: getattr(cells, field.name)[kept] for field in fields(cells)}))

    assert with_singles.at(FEATURES[0], 0).value == pytest.approx(without.at(FEATURES[0], 0).value, abs=0.02)
    assert with_singles.usual == pytest.approx(without.usual, rel=0.1)


def test_no_variance_is_negative() -> None:
    """Where one group explains all, what is left for another that is much like it may come out below 0."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 3))
    kernels = [x @ x.T, x[:, :2] @ x[:, :2].T]
    products = kernels[0] - 0.5 * kernels[1]
    common = np.ones((30, 30))

    found = _variances(kernels, products, common)

    assert found[0] > 0.0
    assert found[1] == 0.0


def test_what_kin_share_and_say_is_in_an_arms_error() -> None:
    scores = _scores(0.2)
    interplay = _with_group()
    evidence = _evidence(scores, [6] * N_ARMS, interplay)
    least = 36 / 40 * interplay.variance(FEATURES)[0]
    known = evidence.errors(np.full(N_ARMS, 0.5))[0]
    evidence.add_arm()
    evidence.add_arm(0.5)
    for arm, said in ((N_ARMS, UNEXPLAINED), (N_ARMS + 1, Explained(0.1, 0.25))):
        evidence.add(arm, 50, 0.7, 0.5, said)

    plain, doubtful = evidence.errors(np.full(N_ARMS + 2, 0.5))[N_ARMS:]

    assert known > least > 0.0
    assert doubtful - plain == pytest.approx(0.99 * (0.5 + 0.25))
    assert evidence.mean_of(N_ARMS) - evidence.mean_of(N_ARMS + 1) == pytest.approx(0.1)


def test_the_doubt_of_what_kin_say_is_in_an_arms_error() -> None:
    class Doubtful(Kin):
        def explain(self, cells: Cells) -> tuple[Floats, Floats]:
            return np.zeros(len(cells.arm)), np.full(len(cells.arm), 0.6)

    errors = []
    for kind in (Kin, Doubtful):
        evidence = _evidence(_scores(0.0), [6] * N_ARMS, _with_group())
        evidence.adjust(
            np.full(N_ARMS, 0.5), kind(interplay=_with_group(), features=FEATURES, doubts=np.full(N_ARMS, DOUBT))
        )
        errors.append(evidence.errors(np.full(N_ARMS, 0.5)))

    assert errors[1] - errors[0] == pytest.approx(np.full(N_ARMS, (1 - 6 / N_CASES) * 0.6 / 6))


def _with_group() -> Interplay:
    return Interplay([GROUP], np.ones(N_CASES))


def test_what_one_model_did_where_no_other_was_called_is_not_taken_for_what_the_cases_are() -> None:
    interplay = Interplay([GROUP], np.ones(N_CASES))
    counts = [N_CASES if level == 0 else 10 for level in LEVEL]

    evidence = _evidence(_scores(0.3), counts, interplay)
    for _ in range(10):
        evidence.adjust(
            np.full(N_ARMS, 0.5), Kin(interplay=interplay, features=FEATURES, doubts=np.full(N_ARMS, DOUBT))
        )

    assert interplay.usual > 0.0
    assert evidence.effects.variance < 0.3 * 0.3**2
    assert abs(evidence.means() - 0.5).max() < 4 * evidence.errors(np.full(N_ARMS, 0.5)).max() ** 0.5


def test_only_kin_leave_anything_in_the_mean_of_a_case() -> None:
    interplay = Interplay([GROUP], np.ones(N_CASES))
    cells = _cells(_scores(0.3), [20] * N_ARMS)
    interplay.fit(FEATURES, cells)
    one_model, all_models = LEVEL[cells.arm] == 0, cells.case < 10

    alike = interplay.alike(FEATURES, cells.arm[one_model | all_models], cells.case[one_model | all_models])

    assert isinstance(alike, np.ndarray)
    assert alike[10:20] == pytest.approx(interplay.usual)
    assert alike[:10] == pytest.approx(interplay.usual / 4)
    assert (alike[20:] == 0.0).all()
