"""The answer and the stopping rule, on beliefs written down."""

import math
from dataclasses import replace

import numpy as np
import pytest

from convergence_cluster.domain.search import (
    ArmState,
    Direction,
    Objective,
    Recommendation,
    SearchProblem,
    Stopping,
    StopReason,
)
from convergence_cluster.domain.space import SearchSpace
from convergence_cluster.optimizers.answer import answer, best_arm, chances, expected_gain
from convergence_cluster.optimizers.belief import Belief
from convergence_cluster.optimizers.front import MetricMeans
from convergence_cluster.optimizers.stopping import StoppingRule, is_hopeless

QUALITY = Objective(name="quality", direction=Direction.MAXIMIZE)


def _belief(
    means: list[float], deviations: list[float], metrics: list[float] | None = None, objective: Objective = QUALITY
) -> Belief:
    n = len(means)
    return Belief(
        shifts=np.zeros(n),
        shift_variance=0.0,
        means=np.array(means),
        variances=np.array(deviations) ** 2,
        level_variances=np.zeros(n),
        call_variances=np.full(n, 0.04),
        n_calls=np.full(n, 10),
        n_cases=np.full(n, 10),
        n_cases_in_all=20,
        enough=4,
        states=(ArmState.ALIVE,) * n,
        configurations=tuple({"x": k} for k in range(n)),
        operators=("pool",) * n,
        metrics=MetricMeans(
            means=np.array(metrics or means)[:, None],
            variances=np.full((n, 1), 1e-4),
            lows=np.zeros(1),
            highs=np.ones(1),
        ),
        objectives=(objective,),
    )


def _answered(belief: Belief) -> Recommendation:
    return answer(
        belief, has_baseline=False, within=0.01, change=None, n_calls=20, rng=np.random.default_rng(0)
    )  # fmt: skip


def test_the_probability_of_being_best_is_that_of_two_normals() -> None:
    belief = _belief([0.6, 0.55], [0.03, 0.04])

    odds = chances(belief, 0, 0.0, np.random.default_rng(0))

    expected = 0.5 * (1 + math.erf(0.05 / 0.05 / 2**0.5))
    assert odds.p_best[0] == pytest.approx(expected, abs=0.03)
    assert odds.p_within == pytest.approx(expected, abs=0.03)


def test_no_rival_is_believed_to_score_more_than_is_possible() -> None:
    belief = _belief([0.9999, 0.98, 0.98, 0.98], [1e-6, 0.07, 0.07, 0.07])

    odds = chances(belief, 0, 0.01, np.random.default_rng(0))

    assert odds.p_within == 1.0


def test_what_breaks_a_bound_is_no_rival_of_what_keeps_it() -> None:
    cheap = replace(QUALITY, direction=Direction.MINIMIZE, high=0.5)
    belief = _belief([0.6, 0.9, 0.59], [0.001, 0.001, 0.001], metrics=[0.2, 0.8, 0.2], objective=cheap)

    kept, broken = _answered(belief), _answered(replace(belief, objectives=(replace(cheap, high=0.1),)))

    assert kept.best is not None
    assert (kept.best.arm, kept.best.p_best, kept.p_within) == (0, 1.0, 1.0)
    assert broken.best is not None
    assert (broken.best.is_feasible, broken.p_within) == (False, 0.0)


def test_one_lucky_call_is_no_answer_where_others_have_had_more() -> None:
    belief = replace(_belief([0.6, 0.9], [0.02, 0.2]), n_cases=np.array([10, 1]))
    alone = replace(belief, n_cases=np.array([1, 1]))

    assert best_arm(belief) == 0
    assert best_arm(alone) == 1


def test_the_tied_are_those_that_may_be_better() -> None:
    result = _answered(_belief([0.60, 0.58, 0.30, 0.595], [0.02, 0.02, 0.02, 0.02]))

    assert result.best is not None
    assert result.best.arm == 0
    assert [arm.arm for arm in result.tied] == [3, 1]


def test_the_interval_holds_nine_tenths_of_a_normal() -> None:
    result = _answered(_belief([0.5], [0.1]))

    assert result.best is not None
    draws = 0.5 + 0.1 * np.random.default_rng(1).standard_normal(20_000)
    share = np.mean((draws >= result.best.score.low) & (draws <= result.best.score.high))
    assert share == pytest.approx(0.9, abs=0.01)


def test_a_bound_excludes_the_best_score() -> None:
    cheap = Objective(name="cost", direction=Direction.MINIMIZE, high=2.0)
    belief = _belief([0.9, 0.6], [0.01, 0.01], metrics=[5.0, 1.0], objective=cheap)

    assert best_arm(belief) == 1
    result = _answered(belief)
    assert result.best is not None
    assert result.best.is_feasible
    assert result.p_within == result.best.p_best == 1.0
    assert result.gain_per_100_calls < 1e-6


def test_an_arm_that_may_yet_keep_the_bound_is_a_rival_and_nobody_is_sure_of_one_that_breaks_it() -> None:
    cheap = Objective(name="cost", direction=Direction.MINIMIZE, high=2.0)
    doubtful = _belief([0.9, 0.6], [0.01, 0.01], metrics=[2.015, 1.0], objective=cheap)
    broken = _belief([0.9, 0.6], [0.01, 0.01], metrics=[5.0, 4.0], objective=cheap)

    assert best_arm(doubtful) == 1
    assert _answered(doubtful).p_within == 0.0
    assert is_hopeless(doubtful, 1, 0.01, 0.95)
    assert best_arm(broken) == 1
    assert _answered(broken).p_within == 0.0
    assert is_hopeless(broken, 1, 0.01, 0.95)
    assert not is_hopeless(replace(broken, objectives=()), 0, 0.01, 0.95)


def test_more_calls_gain_nothing_when_all_is_known_and_something_in_a_tie() -> None:
    rng = np.random.default_rng(0)

    assert expected_gain(_belief([0.6, 0.5], [1e-4, 1e-4]), 0, 100, rng) < 1e-6
    assert expected_gain(_belief([0.6, 0.6], [0.1, 0.1]), 0, 100, rng) > 0.02


def test_patience_ends_a_study_that_does_not_improve() -> None:
    problem = SearchProblem(
        space=SearchSpace(parameters=()), n_cases=4, objectives=(QUALITY,), stopping=Stopping(patience=2),
        settings={"evolution": {"population_size": 10}},
    )  # fmt: skip
    rule = StoppingRule(problem)

    verdicts = [rule.verdict(n_told=n, incumbent=0.5, p_within=0.0) for n in (20, 60, 99, 100)]

    assert verdicts == [None, None, None, StopReason.PATIENCE]


def test_half_of_the_doubt_that_a_study_allows_is_left_for_what_is_not_known_of() -> None:
    problem = SearchProblem(
        space=SearchSpace(parameters=()), n_cases=4, objectives=(QUALITY,), stopping=Stopping(confidence=0.9)
    )
    rule = StoppingRule(problem)

    verdicts = [rule.verdict(n_told=100, incumbent=0.5, p_within=p) for p in (0.9, 0.94, 0.951)]

    assert verdicts == [None, None, StopReason.CERTAIN]


def test_a_close_rival_makes_certainty_hopeless() -> None:
    assert is_hopeless(_belief([0.6, 0.59], [0.02, 0.02]), 0, 0.0, 0.95)
    assert not is_hopeless(_belief([0.6, 0.4], [0.02, 0.02]), 0, 0.0, 0.95)


def test_a_single_call_is_never_sure_where_there_are_more_cases() -> None:
    lucky = replace(_belief([0.9, 0.4], [0.01, 0.02]), n_cases=np.array([1, 10]))

    assert is_hopeless(lucky, 0, 0.0, 0.95)
    assert not is_hopeless(replace(lucky, n_cases=np.array([4, 10])), 0, 0.0, 0.95)
    assert not is_hopeless(replace(lucky, n_cases_in_all=1), 0, 0.0, 0.95)


def test_a_rival_as_good_as_the_best_leaves_hope_where_a_tie_is_good_enough() -> None:
    known = _belief([0.6, 0.6], [0.002, 0.002])
    vague = _belief([0.6, 0.6], [0.02, 0.02])

    assert not is_hopeless(known, 0, 0.01, 0.95)
    assert is_hopeless(vague, 0, 0.01, 0.95)
    assert is_hopeless(known, 0, 0.0, 0.95)


def test_what_leading_arms_usually_disappoint_by_is_taken_off_their_report_and_no_other() -> None:
    plain = _belief([0.60, 0.59, 0.52], [0.02, 0.03, 0.05])
    belief = replace(plain, shifts=np.full(len(plain.means), -1.0), shift_variance=0.21)

    result = _answered(belief)

    assert result.best is not None
    scores = [result.best.score, *(arm.score for arm in result.tied)]
    assert [score.mean for score in scores] == pytest.approx([0.58, 0.56, 0.52])
    assert scores[0].high - scores[0].mean == pytest.approx(1.6449 * 0.022, rel=1e-4)
    assert scores[2].high - scores[2].mean == pytest.approx(1.6449 * 0.05, rel=1e-4)


def test_no_tied_arm_is_reported_above_the_answer_and_the_highest_comes_first() -> None:
    plain = _belief([0.60, 0.579, 0.575, 0.595], [0.03, 0.01, 0.02, 0.02])
    belief = replace(plain, shifts=np.array([-1.0, -1.0, 0.0, -1.0]))

    result = _answered(belief)

    assert result.best is not None
    assert result.best.score.mean == pytest.approx(0.57)
    scores = [arm.score.mean for arm in result.tied]
    assert scores == pytest.approx([0.57, 0.57, 0.569])
    assert scores == sorted(scores, reverse=True)


def test_an_arm_that_hardly_ever_fails_needs_as_many_cases_as_could_show_that_it_does() -> None:
    perfect = replace(_belief([0.995, 0.9], [0.001, 0.001]), n_cases_in_all=1000)
    known = replace(perfect, n_cases=np.array([300, 10]))
    small = replace(perfect, n_cases_in_all=10)

    assert is_hopeless(replace(perfect, n_cases=np.array([299, 10])), 0, 0.01, 0.95)
    assert not is_hopeless(known, 0, 0.01, 0.95)
    assert not is_hopeless(small, 0, 0.01, 0.95)
    assert not is_hopeless(replace(_belief([0.97, 0.9], [0.001, 0.001]), n_cases_in_all=1000), 0, 0.01, 0.95)
