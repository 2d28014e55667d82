"""The baselines' posterior and recommendation."""

import numpy as np
import pytest

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import Direction, Objective, Observation, SearchProblem
from convergence_cluster.domain.space import SearchSpace
from convergence_cluster.optimizers.baselines_answer import answer, shrunk_posterior
from convergence_cluster.optimizers.baselines_arms import Moments, Tally

QUALITY = Objective(name="quality", direction=Direction.MAXIMIZE)
COST = Objective(name="usd", direction=Direction.MINIMIZE, high=0.5)


def problem(n_cases: int = 100, weights: tuple[float, ...] | None = None, **changes: object) -> SearchProblem:
    return SearchProblem(
        space=SearchSpace(parameters=(), candidates=tuple({"row": row} for row in range(50))),
        n_cases=n_cases,
        objectives=(QUALITY, COST),
        baseline={"row": 0},
        case_weights=weights,
    )


def tally(row: int, scores: list[float], cost: float = 0.1) -> Tally:
    arm = Tally({"row": row}, "random")
    for case, score in enumerate(scores):
        arm.record(
            Observation(arm=ArmId(row), case=case, repeat=0, kind=OutcomeKind.OK, score=score, objectives=(score, cost))
        )
    return arm


def test_means_are_pulled_towards_the_common_mean_the_more_the_less_is_known() -> None:
    rng = np.random.default_rng(1)
    draws = [list(rng.normal(mean, 0.4, size=n)) for mean in (0.2, 0.5, 0.8) for n in (4, 64)]

    posterior = shrunk_posterior([*map(Moments.of, draws)], n_population=None)

    pulls = (posterior.mean - posterior.prior_mean) / (np.array([np.mean(d) for d in draws]) - posterior.prior_mean)
    assert (pulls < 1).all()
    assert (pulls[::2] < pulls[1::2]).all()


def test_the_interval_covers_the_truth_nine_times_in_ten() -> None:
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(60):
        truths = rng.normal(0.5, 0.1, size=30)
        draws = [Moments.of(rng.normal(truth, 0.3, size=12)) for truth in truths]
        posterior = shrunk_posterior(draws, n_population=None)
        intervals = [posterior.interval(arm) for arm in range(30)]
        hits += [i.low <= truth <= i.high for i, truth in zip(intervals, truths, strict=True)]

    assert np.mean(hits) == pytest.approx(0.9, abs=0.03)


def test_an_arm_called_on_every_case_leaves_no_doubt() -> None:
    posterior = shrunk_posterior([Moments.of([0.0, 1.0, 1.0]), Moments.of([0.0, 1.0, 0.0])], n_population=3)

    assert posterior.mean == pytest.approx([2 / 3, 1 / 3])
    assert posterior.sd == pytest.approx([0.0, 0.0])


def test_a_single_arm_is_not_shrunk() -> None:
    posterior = shrunk_posterior([Moments.of([0.0, 1.0])], n_population=None)

    assert posterior.mean == pytest.approx([0.5])


def test_nothing_is_recommended_before_the_first_score() -> None:
    recommendation = answer(problem(), [Tally({"row": 0}, "baseline")])

    assert recommendation.best is None
    assert (recommendation.n_arms, recommendation.n_alive, recommendation.n_calls) == (1, 1, 0)


def test_a_lucky_draw_is_not_recommended_over_a_long_record() -> None:
    steady = [1.0] * 38 + [0.0] * 2
    arms = [tally(row, [1.0, 0.0] * 20) for row in range(8)] + [tally(8, steady), tally(9, [1.0])]

    best = answer(problem(), arms).best

    assert best is not None
    assert best.arm == 8


def test_equal_arms_are_tied_and_a_clearly_worse_one_is_not() -> None:
    arms = [tally(0, [0.5, 0.6] * 10), tally(1, [0.61, 0.5] * 10), tally(2, [0.1, 0.2] * 10)]

    recommendation = answer(problem(), arms)

    assert [estimate.arm for estimate in recommendation.tied] == [0]
    assert recommendation.best is not None
    assert recommendation.best.arm == 1
    assert 0.4 < recommendation.best.p_best < 1.0


def test_an_arm_over_a_bound_is_recommended_only_where_none_keeps_it() -> None:
    dear, cheap = tally(0, [0.9, 0.8] * 10, cost=0.9), tally(1, [0.5, 0.4] * 10, cost=0.1)

    both = answer(problem(), [dear, cheap])
    alone = answer(problem(), [dear])

    assert both.best is not None
    assert both.best.arm == 1
    assert alone.best is not None
    assert not alone.best.is_feasible


def test_what_breaks_a_bound_is_no_rival_of_what_keeps_it() -> None:
    arms = [tally(0, [0.9, 0.8] * 10, cost=0.9), tally(1, [0.5, 0.4] * 10), tally(2, [0.1, 0.2] * 10)]

    found = answer(problem(), arms, full=True)

    assert found.best is not None
    assert (found.best.arm, found.best.p_best, found.p_within, found.tied) == (1, 1.0, 1.0, ())
    assert {arm.arm: arm.p_best for arm in found.arms}[ArmId(0)] == 0.0


def test_where_none_keeps_a_bound_the_one_that_breaks_it_least_is_the_answer() -> None:
    best = answer(problem(), [tally(0, [0.9, 0.8] * 10, cost=0.9), tally(1, [0.5, 0.4] * 10, cost=0.6)]).best

    assert best is not None
    assert (best.arm, best.is_feasible) == (1, False)


def test_an_arm_at_its_bound_keeps_it() -> None:
    best = answer(problem(), [tally(0, [0.1, 0.2]), tally(1, [0.9, 0.9, 0.9], cost=0.5 + 1e-16)]).best

    assert best is not None
    assert (best.arm, best.is_feasible) == (1, True)


def test_the_front_holds_what_no_other_arm_beats_everywhere() -> None:
    arms = [tally(0, [0.9, 0.8], cost=0.4), tally(1, [0.5, 0.4], cost=0.1), tally(2, [0.4, 0.3], cost=0.2)]

    front = answer(problem(), arms).front

    assert {estimate.arm for estimate in front} == {0, 1}


def test_the_front_begins_with_what_covers_most_of_it() -> None:
    crowd = [tally(row, [0.5 + 0.001 * row] * 2, cost=0.2 + 0.001 * row) for row in range(6)]
    far = [tally(6, [0.9, 0.9], cost=0.49), tally(7, [0.1, 0.1], cost=0.01)]

    front = [estimate.arm for estimate in answer(problem(), [*crowd, *far]).front]

    assert len(front) == 8
    assert {6, 7} <= set(front[:3])


def test_weights_of_cases_count() -> None:
    weights = (3.0, 1.0)

    best = answer(problem(2, weights), [tally(0, [1.0, 0.0]), tally(1, [0.0, 1.0])]).best

    assert best is not None
    assert best.arm == 0
    assert best.score.mean == pytest.approx(0.75)


def test_weights_add_no_scatter_of_their_own() -> None:
    weights = (1.0, 10.0, 1.0, 10.0)

    result = answer(problem(100, weights + (1.0,) * 96), [tally(0, [0.5] * 4), tally(1, [0.4] * 4)])

    assert result.best is not None
    assert result.best.score.low == pytest.approx(result.best.score.high)
    assert result.p_within == 1.0
    assert result.tied == ()


def test_the_change_against_the_baseline_is_paired() -> None:
    rng = np.random.default_rng(3)
    hard = rng.uniform(0, 0.8, size=40)
    arms = [tally(0, list(hard)), tally(1, list(hard + 0.1))]

    change = answer(problem(), arms).change

    assert change is not None
    assert change.high - change.low < 0.01
    assert change.low > 0


def test_moments_are_those_of_all_that_was_told() -> None:
    tally = Tally({"x": 1}, "random")
    for case, score in enumerate((0.2, 0.4, 0.9)):
        told = Observation(
            arm=ArmId(0), case=case, repeat=0, kind=OutcomeKind.OK, score=score, objectives=(score, 1.0 - score)
        )
        tally.record(told)
        tally.moments(None)  # counted now, and again after the next
    of_score, of_metrics = tally.moments(None)
    assert of_score == Moments.of([0.2, 0.4, 0.9])
    assert of_score.mean == pytest.approx(0.5)
    assert of_score.squares == pytest.approx(0.26)
    assert [moments.mean for moments in of_metrics] == pytest.approx([0.5, 0.5])


def test_no_interval_holds_what_a_score_or_a_metric_cannot_be() -> None:
    arms = [tally(0, [0.1, 0.0]), tally(1, [1.0, 0.9]), tally(2, [0.0, 1.0]), tally(3, [1.0])]

    found = answer(problem(), arms, full=True)

    assert all(0.0 <= arm.score.low <= arm.score.high <= 1.0 for arm in found.arms)
    assert all(0.0 <= arm.objectives[0].low <= arm.objectives[0].high <= 1.0 for arm in found.arms)
    assert found.baseline is not None
    assert found.change is not None
    assert found.change.high <= 1.0 - found.baseline.score.low
