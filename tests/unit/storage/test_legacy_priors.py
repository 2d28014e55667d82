"""What earlier studies measured, as a prior for the next one."""

from collections.abc import Mapping
from typing import Any

import pytest

from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import ArmEstimate, ArmState, Interval
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.storage.legacy_priors import known_arms, known_cases
from convergence_cluster.storage.legacy_records import MAX_KEPT, N_BEST, Z90, LegacyArm, LegacyStudy, kept_arms

SPACE = SearchSpace(parameters=(Parameter(name="x", kind=ParameterKind.ORDINAL, values=tuple(range(10))),))


def _arm(x: float, score: float, **changes: Any) -> LegacyArm:
    return LegacyArm(configuration={"x": x}, score=score, **{"n_calls": 10, "deviation": 0.1, **changes})


def _study(*arms: LegacyArm) -> LegacyStudy:
    return LegacyStudy(id="s", origin="", parameters=[], policy={}, n_calls=1, finished_at_s=0.0, arms=arms)


def _known(*studies: LegacyStudy) -> dict[int, list[float]]:
    found = known_arms(studies, SPACE, defaults={}, rescore=None)
    return {arm.configuration["x"]: [arm.score, arm.variance] for arm in found}


def test_a_study_tells_what_was_bad_as_well_as_what_was_good() -> None:
    known = _known(_study(_arm(0, 0.9), _arm(1, 0.1, deviation=0.2)))

    assert known[0] == pytest.approx([0.9, 0.01])
    assert known[1] == pytest.approx([0.1, 0.04])


def test_an_older_study_is_put_on_the_scale_of_the_newest_and_counts_less() -> None:
    newest = _study(*(_arm(x, 0.5 + 0.1 * x) for x in range(3)))
    older = _study(*(_arm(x, 0.3 + 0.1 * x) for x in range(4)))

    known = _known(newest, older)

    assert known[3] == pytest.approx([0.8, 0.01 / 0.8])
    assert known[0] == pytest.approx([0.5, 1.0 / (1.0 / 0.01 + 0.8 / 0.01)])


def test_an_older_study_that_shares_too_little_says_nothing() -> None:
    known = _known(_study(_arm(0, 0.5), _arm(1, 0.6)), _study(_arm(0, 0.1), _arm(1, 0.2), _arm(5, 0.9)))

    assert sorted(known) == [0, 1]
    assert known[0][0] == 0.5


def test_scores_on_single_cases_are_handed_on_by_todays_index_from_the_newest_study() -> None:
    newest = _study(_arm(0, 0.5, cases={"a": 0.9, "gone": 0.1}), _arm(1, 0.4), _arm(2, 0.3))
    older = _study(*(_arm(x, 0.5, cases={"b": 0.5}) for x in range(4)))

    found = known_arms((newest, older), SPACE, defaults={}, rescore=None, cases=("b", "a"))

    assert {arm.configuration["x"]: arm.cases for arm in found} == {0: ((1, 0.9),), 1: (), 2: (), 3: ()}


def test_of_too_many_scores_on_single_cases_the_best_arms_are_handed_on() -> None:
    names = [str(number) for number in range(12_000)]
    many = dict.fromkeys(names, 0.5)

    found = known_arms((_study(_arm(0, 0.9, cases=many), _arm(1, 0.1, cases=many)),), SPACE, defaults={}, rescore=None,
                       cases=names)  # fmt: skip

    assert [len(arm.cases) for arm in found] == [12_000, 0]


def test_of_an_edited_configuration_less_is_certain() -> None:
    known = _known(_study(_arm(1, 0.5), _arm(3, 0.7), _arm(6.4, 0.9)))

    assert known[3][1] == pytest.approx(0.01)
    assert known[6][1] == pytest.approx(0.01 + 2 * 0.3 * 0.08 / 3)


def test_without_a_kept_deviation_a_score_is_as_certain_as_its_calls_are_many() -> None:
    known = _known(_study(_arm(1, 0.5, deviation=None, n_calls=25), _arm(2, 1.0, deviation=None, n_calls=4)))

    assert known[1][1] == pytest.approx(0.01)
    assert known[2][1] == pytest.approx(0.0025)


def test_cases_that_are_the_same_tell_what_they_add_to_every_score() -> None:
    study = _study(_arm(0, 0.5, cases={"a": 0.9, "b": 0.1}), _arm(1, 0.3, cases={"a": 0.5}))

    cases = known_cases(study, ("new", "b", "a"), None)

    assert [(known.case, known.n_arms) for known in cases] == [(1, 1), (2, 2)]
    assert [known.effect for known in cases] == pytest.approx([-0.4, 0.3])


def test_scores_of_cases_under_other_weights_say_nothing() -> None:
    study = _study(_arm(0, 0.5, cases={"a": 0.9}, metrics={"quality": 0.8}))

    assert known_cases(study, ("a",), lambda metrics: metrics["quality"]) == ()
    assert known_cases(_study(), ("a",), None) == ()


def _estimate(number: int, score: float) -> ArmEstimate:
    return ArmEstimate(
        arm=ArmId(number),
        configuration={"x": number},
        state=ArmState.ALIVE,
        operator="",
        score=Interval(mean=score, low=score - 0.01 * Z90, high=score + 0.01 * Z90),
        n_calls=8,
        n_cases=8,
        p_best=0.0,
        objectives=(Interval(mean=score, low=score, high=score),),
    )


def test_of_many_arms_the_best_are_kept_and_some_of_all_the_others() -> None:
    arms = [_estimate(number, number / 1000) for number in range(1000)]
    cases: Mapping[ArmId, Mapping[str, float]] = {ArmId(999): {"a": 0.5}}

    kept = kept_arms(arms, cases, ("quality",))

    numbers = [arm.configuration["x"] for arm in kept]
    assert len(kept) == MAX_KEPT
    assert numbers[:N_BEST] == list(range(999, 999 - N_BEST, -1))
    assert numbers[-1] < 20
    assert kept[0].cases == {"a": 0.5}
    assert kept[0].metrics == {"quality": 0.999}
    assert kept[0].deviation == pytest.approx(0.01)


def test_of_few_arms_all_that_were_called_are_kept() -> None:
    kept = kept_arms([_estimate(0, 0.2), _estimate(1, 0.9)], {}, ("quality",))

    assert [arm.score for arm in kept] == [0.9, 0.2]
