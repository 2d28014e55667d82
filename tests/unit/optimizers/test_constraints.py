"""Constraints: what breaks a bound, and what is retired for it."""

import numpy as np

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.search import (
    ArmState,
    Block,
    Direction,
    Objective,
    Observation,
    SearchProblem,
    StopReason,
)
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.constraints import surely_broken, violation
from convergence_cluster.optimizers.metrics import Metrics
from convergence_cluster.optimizers.racing import RacingSearch

QUALITY = Objective(name="quality", direction=Direction.MAXIMIZE, low=0.8)
CHEAP = Objective(name="cost", direction=Direction.MINIMIZE, high=0.005)


def _search(n_arms: int, objective: Objective, *, n_cases: int = 20) -> RacingSearch:
    sizes = Parameter(name="size", kind=ParameterKind.CATEGORICAL, values=tuple(range(n_arms)))
    return RacingSearch(
        SearchProblem(
            space=SearchSpace(parameters=(sizes,)), n_cases=n_cases, objectives=(objective,), max_calls=400, seed=1
        )
    )


def _run(
    search: RacingSearch, scores: list[float], metrics: list[float], n_calls: int
) -> tuple[int, StopReason | None]:
    """Every call of an arm gives the same; return how many were made and why the search ended."""
    n_made = 0
    while n_made < n_calls:
        block = search.ask()
        if not isinstance(block, Block):
            return n_made, block
        size = int(block.configuration["size"])
        search.tell(
            [
                Observation(
                    arm=block.arm, case=case, repeat=block.repeat, kind=OutcomeKind.OK, score=scores[size],
                    objectives=(metrics[size],),
                )
                for case in block.cases
            ]
        )  # fmt: skip
        n_made += len(block.cases)
    return n_made, None


def test_bounds_are_measured_relative_to_themselves_and_a_bound_of_nothing_to_what_there_is() -> None:
    free = Objective(name="errors", direction=Direction.MINIMIZE, high=0.0)
    values = np.array([[0.9, 0.005, 0.0], [0.4, 0.02, 0.0001], [0.4, 0.02, 0.05]])

    broken = violation(values, (QUALITY, CHEAP, free))

    assert np.allclose(broken, [0.0, 0.5 + 3.0 + 0.002, 0.5 + 3.0 + 1.0])


def test_a_mean_of_numbers_on_the_bound_keeps_it_however_it_is_rounded() -> None:
    metrics = Metrics(1, np.ones(36), can_repeat=False)
    for case in range(36):
        metrics.add(0, case, (0.005,))
        metrics.add(1, case, (0.0050001,))
    means = metrics.means(2)
    rounded = np.array([[0.005 + 1e-18], [0.005000000000000002], [0.0050001]])

    assert (violation(rounded, (CHEAP,)) > 0).tolist() == [False, False, True]
    assert surely_broken(means, (CHEAP,)).tolist() == [False, True]
    assert [CHEAP.keeps(float(value)) for value in rounded[:, 0]] == [True, True, False]
    assert [QUALITY.keeps(value) for value in (0.8 - 1e-17, 0.79)] == [True, False]


def test_a_study_is_sure_of_the_best_that_keeps_the_bounds_however_good_others_are() -> None:
    n_calls, reason = _run(_search(4, CHEAP), [0.95, 0.8, 0.3, 0.2], [0.009, 0.004, 0.001, 0.001], 400)
    search = _search(4, CHEAP)
    _run(search, [0.95, 0.8, 0.3, 0.2], [0.009, 0.004, 0.001, 0.001], 400)
    answer = search.recommend()

    assert reason is StopReason.CERTAIN
    assert n_calls < 60
    assert answer.best is not None
    assert answer.best.configuration == {"size": 1}
    assert answer.p_within > 0.95
    assert answer.gain_per_100_calls < 0.02


def test_no_study_is_sure_of_what_breaks_a_bound_and_the_least_broken_is_found() -> None:
    metrics = [0.0100, 0.0070, 0.0090, 0.0066]
    search = _search(4, CHEAP)

    _, reason = _run(search, [0.9, 0.8, 0.7, 0.2], metrics, 400)
    answer = search.recommend(full=True)

    assert reason is not StopReason.CERTAIN
    assert answer.p_within == 0.0
    assert answer.best is not None
    assert answer.best.configuration == {"size": 3}
    assert not answer.best.is_feasible
    assert answer.best.n_cases == 20
    assert {arm.state for arm in answer.arms if arm.arm != answer.best.arm} == {ArmState.DEAD}


def test_one_failure_retires_nobody() -> None:
    search = _search(1, QUALITY)
    block = search.ask()
    assert isinstance(block, Block)
    failed = [
        Observation(arm=block.arm, case=case, repeat=0, kind=OutcomeKind.OK, score=0.0, objectives=(0.0,))
        for case in block.cases[:1]
    ]

    search.tell(failed)

    assert search.recommend(full=True).arms[0].state is ArmState.ALIVE


def test_the_error_of_a_weighted_mean_is_that_of_its_shares_and_nothing_when_all_was_seen() -> None:
    rng = np.random.default_rng(5)
    weights = np.exp(2.0 * rng.standard_normal(60))
    n_covered, n = 0, 400
    for _ in range(n):
        values = rng.standard_normal((12, 60))
        truth = values @ weights / weights.sum()
        metrics = Metrics(1, weights, can_repeat=False)
        for arm in range(12):
            for case in range(20):
                metrics.add(arm, case, (float(values[arm, case]),))
        found = metrics.means(12)
        inside = np.abs(found.means[:, 0] - truth) <= 1.645 * np.sqrt(found.variances[:, 0])
        n_covered += int(inside.sum())
    whole = Metrics(1, np.ones(2), can_repeat=False)
    for arm, case, value in ((0, 0, 0.3), (0, 1, 0.7), (1, 0, 0.1)):
        whole.add(arm, case, (value,))
    variances = whole.means(2).variances[:, 0]

    assert 0.85 < n_covered / n / 12 < 0.95
    assert variances[0] == 0.0
    assert variances[1] > 0.0
