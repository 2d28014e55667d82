"""The search as a whole, on small worlds."""

import numpy as np
import pytest

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import ArmId, Configuration, canonical_json
from convergence_cluster.domain.search import (
    ArmState,
    Block,
    Direction,
    Elite,
    KnownArm,
    Legacy,
    Objective,
    Observation,
    Stopping,
    StopReason,
)
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.racing import RacingSearch
from tests.unit.optimizers.small_worlds import (
    QUALITY,
    Score,
    binary_scores,
    run_to,
    small_grid,
    small_problem,
    told_of,
    true_quality,
)


def test_the_same_seed_makes_the_same_decisions_and_idle_asks_change_nothing() -> None:
    quiet, curious = RacingSearch(small_problem(parallelism=8)), RacingSearch(small_problem(parallelism=8))
    for _ in range(40):
        asked = [quiet.ask() for _ in range(3)]
        again = [curious.ask() for _ in range(3)]
        curious.recommend()
        assert asked == again
        for block in asked:
            if isinstance(block, Block):
                quiet.tell(told_of(block, binary_scores(0)))
                curious.tell(told_of(block, binary_scores(0)))


def test_an_ask_that_returns_nothing_changes_nothing() -> None:
    space = SearchSpace(parameters=(Parameter(name="x", kind=ParameterKind.CATEGORICAL, values=(1, 2)),))
    plain, nosy = (RacingSearch(small_problem(space=space, n_cases=6)) for _ in range(2))
    first = [block for _ in range(40) if isinstance(block := plain.ask(), Block)]
    second = [block for _ in range(40) if isinstance(block := nosy.ask(), Block)]
    assert first == second
    assert [nosy.ask() for _ in range(5)] == [None] * 5
    for block in first:
        plain.tell(told_of(block, lambda c, case, _: c["x"] * case / 12))
        nosy.tell(told_of(block, lambda c, case, _: c["x"] * case / 12))

    assert plain.recommend() == nosy.recommend()


def test_told_again_a_call_is_ignored() -> None:
    once, twice = RacingSearch(small_problem()), RacingSearch(small_problem())
    for _ in range(20):
        left, right = once.ask(), twice.ask()
        assert isinstance(left, Block)
        assert left == right
        once.tell(told_of(left, binary_scores(0)))
        twice.tell(told_of(left, binary_scores(0)))
        twice.tell(told_of(left, lambda *_: 1.0))

    assert once.recommend() == twice.recommend()


def test_no_configuration_is_proposed_twice_and_a_small_grid_is_exhausted() -> None:
    search = RacingSearch(small_problem(n_cases=3, stopping=Stopping(enabled=False)))

    blocks, reason = run_to(search, binary_scores(0), 1000)

    assert reason is StopReason.EXHAUSTED
    calls = [(block.arm, case, block.repeat) for block in blocks for case in block.cases]
    assert len(calls) == len(set(calls)) == 20 * 3
    arms = {block.arm: canonical_json(block.configuration) for block in blocks}
    assert len(set(arms.values())) == len(arms) == 20


def test_an_arm_that_no_parameter_explains_is_found_before_the_search_is_sure() -> None:
    space = SearchSpace(
        parameters=(
            Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=tuple(f"m{k}" for k in range(6))),
            Parameter(name="prompt", kind=ParameterKind.CATEGORICAL, values=tuple(f"p{k}" for k in range(25))),
        )
    )
    odd = {"model": "m0", "prompt": "p7"}

    def score(configuration: Configuration, case: int, repeat: int) -> float:
        expected = 0.9 if configuration == odd else 0.1 + 0.05 * int(configuration["model"][1:])
        key = [case, repeat, *canonical_json(configuration).encode()]
        return float(np.random.default_rng(key).random() < expected)

    found = 0
    for seed in range(4):
        search = RacingSearch(small_problem(space=space, n_cases=40, seed=seed))
        _, reason = run_to(search, score, 1500)
        best = search.recommend().best
        assert best is not None
        found += best.configuration == odd
        assert reason is StopReason.CERTAIN or best.configuration == odd

    assert found >= 3


def test_the_best_of_a_grid_is_found_in_nine_of_ten_runs_with_a_fraction_of_the_calls() -> None:
    configurations = [{"model": f"m{k}", "level": level} for k in range(4) for level in range(5)]
    found, calls = 0, []
    for seed in range(20):
        score = binary_scores(seed)
        truth = {canonical_json(c): np.mean([score(c, case, 0) or 0.0 for case in range(100)]) for c in configurations}
        search = RacingSearch(small_problem(n_cases=100, seed=seed))
        blocks, _ = run_to(search, score, 1200)
        best = search.recommend().best
        assert best is not None
        found += truth[canonical_json(best.configuration)] >= 0.99 * max(truth.values())
        calls.append(sum(len(block.cases) for block in blocks))

    assert found >= 18
    assert np.mean(calls) < 1000


def _peak(configuration: Configuration) -> float:
    return float(0.9 - 0.05 * (7 - int(configuration["model"][1:])) - 0.4 * ((configuration["level"] - 22) / 40) ** 2)


def _noisy(seed: int) -> Score:
    rng = np.random.default_rng(seed)
    return lambda c, case, _: float(_peak(c) + 0.1 * (case - 1.5) / 4 + 0.05 * rng.standard_normal())


def test_a_small_noisy_study_is_right_after_a_fifth_of_the_calls_that_would_be_allowed() -> None:
    peaks = []
    for seed in range(20):
        search = RacingSearch(small_problem(space=small_grid(8, 40), n_cases=4, max_repeats=1000, seed=seed))
        run_to(search, _noisy(seed), 160)
        best = search.recommend().best
        assert best is not None
        peaks.append(_peak(best.configuration))

    assert np.mean(peaks) >= 0.992 * 0.9
    assert sum(peak >= 0.99 * 0.9 for peak in peaks) >= 14  # 92 % of many are; fewer by chance once in a thousand times


def test_repeats_are_used_only_where_the_first_calls_leave_a_tie() -> None:
    search = RacingSearch(small_problem(space=small_grid(8, 40), n_cases=4, max_repeats=1000))

    blocks, _ = run_to(search, _noisy(3), 300)

    repeated = {block.arm for block in blocks if block.repeat > 0}
    opened = {block.arm for block in blocks}
    assert repeated
    assert len(repeated) < 0.8 * len(opened)


def test_an_infeasible_configuration_is_out_and_never_recommended() -> None:
    search = RacingSearch(small_problem())
    while isinstance(block := search.ask(), Block):
        if block.configuration["model"] == "m3":
            case = block.cases[0]
            search.tell([Observation(arm=block.arm, case=case, repeat=0, kind=OutcomeKind.INFEASIBLE, score=None)])
        else:
            search.tell(told_of(block, binary_scores(0)))

    best = search.recommend().best
    assert best is not None
    assert best.configuration["model"] != "m3"


def test_when_nothing_can_run_there_is_no_answer() -> None:
    space = SearchSpace(parameters=(Parameter(name="x", kind=ParameterKind.CATEGORICAL, values=(1, 2, 3)),))
    search = RacingSearch(small_problem(space=space))

    _, reason = run_to(search, lambda *_: None, 100)

    assert reason is StopReason.NO_FEASIBLE
    assert search.recommend().best is None


def test_an_arm_that_answers_only_easy_cases_is_not_recommended() -> None:
    space = SearchSpace(parameters=(Parameter(name="x", kind=ParameterKind.ORDINAL, values=tuple(range(12))),))

    def score(configuration: Configuration, case: int, repeat: int) -> float | None:
        easiness = 0.4 if case % 2 else -0.4
        if configuration["x"] == 5 and case % 8 < 3 and easiness < 0:
            return None
        bonus = 0.05 if configuration["x"] == 7 else 0.0
        return float(0.5 + easiness + bonus + 0.01 * ((case * 7 + configuration["x"]) % 3))

    search = RacingSearch(small_problem(space=space, n_cases=40))
    run_to(search, score, 300)

    best = search.recommend().best
    assert best is not None
    assert best.configuration["x"] == 7


def test_the_baseline_is_arm_0_even_where_it_is_not_among_the_candidates() -> None:
    candidates = ({"model": "m1", "level": 1}, {"model": "m2", "level": 2}, {"model": "m3", "level": 3})
    space = SearchSpace(parameters=small_grid().parameters, candidates=candidates)
    search = RacingSearch(small_problem(space=space, baseline={"model": "m0", "level": 0}))

    run_to(search, binary_scores(0), 60)

    answer = search.recommend()
    assert answer.baseline is not None
    assert answer.baseline.arm == ArmId(0)
    assert answer.change is not None
    assert answer.change.low < answer.change.mean < answer.change.high


def test_elites_are_opened_after_the_baseline_best_first() -> None:
    elites = (
        Elite(configuration={"model": "m1", "level": 1}, score=0.5, n_calls=20),
        Elite(configuration={"model": "m3", "level": 2}, score=0.7, n_calls=20),
    )
    search = RacingSearch(small_problem(baseline={"model": "m0", "level": 0}, legacy=Legacy(elites=elites)))

    blocks, _ = run_to(search, binary_scores(0), 9)

    assert [block.operator for block in blocks[:3]] == ["baseline", "elite", "elite"]
    assert blocks[1].configuration == {"model": "m3", "level": 2}


@pytest.mark.parametrize(("model", "n_opened"), [("m0", 3), ("m3", 5)])
def test_elites_that_mislead_are_dropped_and_good_ones_are_all_tried(model: str, n_opened: int) -> None:
    elites = tuple(Elite(configuration={"model": model, "level": level}, score=0.9, n_calls=100) for level in range(5))
    search = RacingSearch(small_problem(n_cases=200, legacy=Legacy(elites=elites), stopping=Stopping(enabled=False)))

    blocks, _ = run_to(search, lambda c, *_: true_quality(c), 200)

    opened = {block.arm for block in blocks if block.operator == "elite"}
    assert len(opened) == n_opened


def _calls_to_best(legacy: Legacy, seed: int) -> int:
    """Return after how many calls the best of the grid is recommended for good."""
    search = RacingSearch(small_problem(n_cases=1000, seed=seed, legacy=legacy, stopping=Stopping(enabled=False)))
    n_calls, last_wrong = 0, 0
    while n_calls < 500:
        block = search.ask()
        assert isinstance(block, Block)
        search.tell(told_of(block, binary_scores(seed)))
        n_calls += len(block.cases)
        best = search.recommend().best
        if best is None or true_quality(best.configuration) < 0.64:
            last_wrong = n_calls
    return last_wrong


def test_what_an_earlier_study_measured_halves_the_calls_and_what_misleads_costs_little() -> None:
    grid = [{"model": f"m{model}", "level": level} for model in range(4) for level in range(5)]
    ranked = sorted(grid, key=true_quality)
    told = tuple(KnownArm(configuration=c, score=true_quality(c), variance=0.0004) for c in ranked)
    reversed_ = tuple(
        KnownArm(configuration=c, score=other.score, variance=0.0004)
        for c, other in zip(ranked, reversed(told), strict=True)
    )

    alone, helped, misled = (
        sum(_calls_to_best(Legacy(arms=arms), seed) for seed in range(5)) for arms in ((), told, reversed_)
    )

    assert helped < 0.5 * alone
    assert misled < 1.25 * alone


def test_bounds_decide_what_is_recommended() -> None:
    objectives = (QUALITY, Objective(name="cost", direction=Direction.MINIMIZE, high=0.25))
    search = RacingSearch(small_problem(objectives=objectives))
    for _ in range(80):
        block = search.ask()
        if not isinstance(block, Block):
            break
        cost = 0.1 * int(block.configuration["model"][1:])
        search.tell(
            [
                Observation(
                    arm=seen.arm, case=seen.case, repeat=0, kind=seen.kind, score=seen.score,
                    objectives=(*seen.objectives, cost),
                )
                for seen in told_of(block, binary_scores(0))
            ]
        )  # fmt: skip

    answer = search.recommend()
    assert answer.best is not None
    assert answer.best.is_feasible
    assert int(answer.best.configuration["model"][1:]) <= 2
    assert all(arm.is_feasible for arm in answer.front[:1])


def test_a_clear_winner_ends_the_study_with_certainty() -> None:
    search = RacingSearch(small_problem())

    blocks, reason = run_to(search, lambda c, *_: 0.9 if c["model"] == "m1" and c["level"] == 3 else 0.2, 400)

    assert reason is StopReason.CERTAIN
    answer = search.recommend()
    assert answer.best is not None
    assert answer.best.configuration == {"model": "m1", "level": 3}
    assert answer.p_within >= 0.95
    assert sum(len(block.cases) for block in blocks) < 400


def test_two_equal_winners_are_a_tie_and_end_the_study_early() -> None:
    search = RacingSearch(small_problem(n_cases=1000, seed=3))

    def score(configuration: Configuration, case: int, repeat: int) -> float:
        mean = 0.8 if configuration["level"] == 3 and configuration["model"] in {"m1", "m2"} else 0.5
        key = [case, *canonical_json(configuration).encode()]
        return float(np.clip(mean + 0.1 * np.random.default_rng(key).standard_normal(), 0.0, 1.0))

    blocks, reason = run_to(search, score, 4000)

    assert reason is StopReason.CERTAIN
    assert sum(len(block.cases) for block in blocks) < 1000
    answer = search.recommend()
    assert answer.best is not None
    assert answer.best.score.mean == pytest.approx(0.8, abs=0.1)


@pytest.mark.parametrize("parallelism", [1, 64])
def test_a_large_space_is_searched_by_breeding(parallelism: int) -> None:
    space = SearchSpace(
        parameters=(
            Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=tuple("abcdef")),
            Parameter(name="t", kind=ParameterKind.CONTINUOUS, low=0.0, high=2.0),
            Parameter(name="k", kind=ParameterKind.INTEGER, low=1, high=500, log=True),
            Parameter(name="effort", kind=ParameterKind.ORDINAL, values=(1, 2, 3), when={"model": ("c", "d")}),
        )
    )

    def score(configuration: Configuration, case: int, repeat: int) -> float:
        value = 0.8 if configuration["model"] == "d" else 0.5
        value -= 0.3 * (configuration["t"] - 0.6) ** 2 + 0.02 * abs(np.log(configuration["k"] / 40))
        return float(value + 0.02 * configuration.get("effort", 0) + 0.05 * ((case * 13) % 7 - 3) / 7)

    search = RacingSearch(
        small_problem(space=space, n_cases=50, parallelism=parallelism, stopping=Stopping(enabled=False))
    )
    flight: list[Block] = []
    n_calls = 0
    while n_calls < 600:
        while len(flight) < parallelism:
            block = search.ask()
            assert isinstance(block, Block)
            flight.append(block)
        done = flight.pop(0)
        n_calls += len(done.cases)
        search.tell(told_of(done, score))

    best = search.recommend().best
    assert best is not None
    assert best.configuration["model"] == "d"
    assert best.score.mean > 0.8


def test_what_was_learned_is_taken_up_by_the_next_study() -> None:
    space = SearchSpace(
        parameters=tuple(Parameter(name=name, kind=ParameterKind.CONTINUOUS, low=0.0, high=1.0) for name in ("x", "y"))
    )
    first = RacingSearch(small_problem(space=space, stopping=Stopping(enabled=False)))
    run_to(first, lambda c, *_: float(1 - (c["x"] - 0.3) ** 2 - (c["y"] - 0.6) ** 2), 300)

    second = RacingSearch(small_problem(space=space, legacy=Legacy(policy=first.learned())))

    fresh = RacingSearch(small_problem(space=space))
    assert second.learned() != fresh.learned()


@pytest.mark.parametrize("part", ["racing", "pairing", "surrogate", "evolution", "policy", "legacy"])
def test_every_part_can_be_switched_off(part: str) -> None:
    search = RacingSearch(small_problem(settings={"ablate": [part]}))

    run_to(search, binary_scores(0), 100)

    assert search.recommend().best is not None


def test_a_call_of_an_arm_that_was_never_asked_for_is_an_error() -> None:
    search = RacingSearch(small_problem())

    with pytest.raises(ValueError, match="no arm 5"):
        search.tell([Observation(arm=ArmId(5), case=0, repeat=0, kind=OutcomeKind.OK, score=0.5)])


def test_dead_arms_stay_out_of_the_race_but_are_counted() -> None:
    search = RacingSearch(small_problem(n_cases=50))
    run_to(search, lambda c, *_: true_quality(c), 200)

    answer = search.recommend()

    assert answer.n_alive < answer.n_arms
    assert answer.best is not None
    assert answer.best.state is ArmState.ALIVE
