"""Searches that call every configuration on every case."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from convergence_cluster.coordinator.protocols import Optimizer
from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import ArmId, Configuration, canonical_json
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
from convergence_cluster.optimizers.baselines import GridSearch, RandomSearch
from convergence_cluster.optimizers.baselines_optuna import OptunaSearch

Factory = Callable[[SearchProblem], Optimizer]
World = Callable[[Configuration, int], float | OutcomeKind]

MODEL = Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=("a", "b", "c"))
EFFORT = Parameter(name="effort", kind=ParameterKind.ORDINAL, values=(1, 4, 9), when={"model": ("c",)})
SHOTS = Parameter(name="shots", kind=ParameterKind.INTEGER, low=0, high=3)
HEAT = Parameter(name="heat", kind=ParameterKind.CONTINUOUS, low=0.0, high=1.0)
TOKENS = Parameter(name="tokens", kind=ParameterKind.INTEGER, low=1, high=4096, step=1, log=True)
RATE = Parameter(name="rate", kind=ParameterKind.CONTINUOUS, low=0.1, high=0.5, step=0.1)

FINITE = SearchSpace(parameters=(MODEL, EFFORT, SHOTS))
ENDLESS = SearchSpace(parameters=(MODEL, EFFORT, SHOTS, HEAT, TOKENS, RATE))
POOL = SearchSpace(parameters=(), candidates=tuple({"row": row, "flag": row % 2 == 0} for row in range(12)))

PROBLEM = SearchProblem(
    space=FINITE,
    n_cases=20,
    objectives=(
        Objective(name="quality", direction=Direction.MAXIMIZE),
        Objective(name="s", direction=Direction.MINIMIZE),
    ),
    baseline={"model": "b", "shots": 1},
    seed=5,
)

FACTORIES: dict[str, Factory] = {
    "random": RandomSearch,
    "grid": GridSearch,
    "tpe": lambda problem: OptunaSearch(problem, sampler="tpe"),
    "nsga2": lambda problem: OptunaSearch(problem, sampler="nsga2", target="objectives"),
}


@pytest.fixture(params=list(FACTORIES))
def factory(request: pytest.FixtureRequest) -> Factory:
    return FACTORIES[request.param]


def quality(configuration: Configuration, case: int) -> float:
    base = {"a": 0.2, "b": 0.4, "c": 0.6}.get(str(configuration.get("model")), 0.3)
    return base + 0.05 * int(configuration.get("shots", configuration.get("row", 0))) + 0.01 * (case % 3)


def observe(block: Block, world: World = quality) -> list[Observation]:
    observations = []
    for case in block.cases:
        seen = world(block.configuration, case)
        ok = isinstance(seen, float)
        observations.append(
            Observation(
                arm=block.arm,
                case=case,
                repeat=block.repeat,
                kind=OutcomeKind.OK if isinstance(seen, float) else seen,
                score=seen if isinstance(seen, float) else None,
                objectives=(seen, 2.0) if ok and isinstance(seen, float) else (),
            )
        )
    return observations


def run(search: Optimizer, n_blocks: int = 10_000, world: World = quality) -> tuple[list[Block], StopReason | None]:
    blocks: list[Block] = []
    for _ in range(n_blocks):
        decision = search.ask()
        if not isinstance(decision, Block):
            return blocks, decision
        blocks.append(decision)
        search.tell(observe(decision, world))
    return blocks, None


def test_every_configuration_gets_every_case_once_and_then_the_space_is_exhausted(factory: Factory) -> None:
    blocks, reason = run(factory(PROBLEM))

    calls = [(block.arm, case) for block in blocks for case in block.cases]
    assert reason is StopReason.EXHAUSTED
    assert len(calls) == len(set(calls)) == 20 * 20
    assert len({canonical_json(block.configuration) for block in blocks}) == 20


def test_the_baseline_is_arm_0_and_comes_first(factory: Factory) -> None:
    search = factory(PROBLEM)

    blocks, _ = run(search, 5)

    assert blocks[0].arm == ArmId(0)
    assert blocks[0].configuration == PROBLEM.baseline
    assert blocks[0].operator == "baseline"
    baseline = search.recommend().baseline
    assert baseline is not None
    assert baseline.configuration == PROBLEM.baseline


def test_the_same_problem_and_answers_give_the_same_decisions(factory: Factory) -> None:
    problem = replace(PROBLEM, space=ENDLESS)

    first, _ = run(factory(problem), 60)
    second, _ = run(factory(problem), 60)

    assert first == second


def test_another_seed_gives_other_configurations() -> None:
    problem = replace(PROBLEM, space=ENDLESS)

    first, _ = run(RandomSearch(problem), 20)
    second, _ = run(RandomSearch(replace(problem, seed=6)), 20)

    assert [b.configuration for b in first[4:]] != [b.configuration for b in second[4:]]


def test_values_are_of_their_kind_and_in_their_range_and_conditions_are_kept(factory: Factory) -> None:
    blocks, _ = run(factory(replace(PROBLEM, space=ENDLESS, n_cases=2)), 60)

    for block in blocks[1:]:
        configuration = block.configuration
        assert ("effort" in configuration) == (configuration["model"] == "c")
        assert isinstance(configuration["shots"], int)
        assert 0 <= configuration["shots"] <= 3
        assert 0.0 <= configuration["heat"] <= 1.0
        assert 1 <= configuration["tokens"] <= 4096
        assert configuration["rate"] in {0.1, 0.2, 0.3, 0.4, 0.5}


def test_an_arm_is_finished_before_the_next_one_begins_while_one_call_runs_at_once(factory: Factory) -> None:
    blocks, _ = run(factory(PROBLEM), 10)

    assert [block.arm for block in blocks] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert [len(block.cases) for block in blocks[:2]] == [16, 4]


def test_asking_ahead_opens_further_arms_without_paying_twice(factory: Factory) -> None:
    search = factory(PROBLEM)

    blocks = [decision for _ in range(60) if isinstance(decision := search.ask(), Block)]

    assert len(blocks) == 40
    assert len({canonical_json(block.configuration) for block in blocks}) == 20
    assert search.ask() is None


def test_an_ask_without_a_block_changes_nothing(factory: Factory) -> None:
    problem = replace(PROBLEM, space=POOL, baseline=None, n_cases=3)
    patient, eager = factory(problem), factory(problem)
    blocks = [patient.ask() for _ in range(12)]
    assert blocks == [eager.ask() for _ in range(12)]

    assert [eager.ask() for _ in range(5)] == [None] * 5
    for block in blocks:
        assert isinstance(block, Block)
        patient.tell(observe(block))
        eager.tell(observe(block))

    assert patient.ask() is eager.ask() is StopReason.EXHAUSTED
    assert patient.recommend() == eager.recommend()


def test_a_call_that_was_never_sent_is_asked_again(factory: Factory) -> None:
    search = factory(PROBLEM)
    block = search.ask()
    assert isinstance(block, Block)

    search.tell(observe(block, lambda _, case: OutcomeKind.SKIPPED if case == block.cases[0] else 0.5))
    _, reason = run(search)

    assert reason is StopReason.EXHAUSTED
    assert search.recommend().n_calls == 400


def test_a_call_told_twice_counts_once(factory: Factory) -> None:
    search = factory(PROBLEM)
    block = search.ask()
    assert isinstance(block, Block)

    search.tell(observe(block))
    before = search.recommend()
    search.tell(observe(block, lambda *_: 1.0))

    assert search.recommend() == before


def test_failed_calls_leave_the_mean_of_the_scored_ones(factory: Factory) -> None:
    search = factory(replace(PROBLEM, space=POOL, baseline=None))

    run(search, world=lambda configuration, case: OutcomeKind.FAILED if case < 5 else quality(configuration, 0))

    best = search.recommend().best
    assert best is not None
    assert best.configuration["row"] == 11
    assert best.score.mean == pytest.approx(0.3 + 0.55, abs=0.02)
    assert (best.n_calls, best.n_cases) == (20, 15)


def test_an_arm_that_cannot_run_is_out_and_gets_no_further_calls(factory: Factory) -> None:
    search = factory(PROBLEM)

    blocks, reason = run(
        search, world=lambda c, case: OutcomeKind.INFEASIBLE if c["model"] == "a" else quality(c, case)
    )

    rejected = [block for block in blocks if block.configuration["model"] == "a"]
    best = search.recommend().best
    assert reason is StopReason.EXHAUSTED
    assert [len(block.cases) for block in rejected] == [16] * 4
    assert best is not None
    assert best.state is ArmState.ALIVE


def test_there_is_no_answer_where_nothing_can_run(factory: Factory) -> None:
    search = factory(PROBLEM)

    _, reason = run(search, world=lambda *_: OutcomeKind.INFEASIBLE)

    assert reason is StopReason.NO_FEASIBLE
    assert search.recommend().best is None


def test_an_endless_space_in_which_nothing_runs_is_given_up(factory: Factory) -> None:
    search = factory(replace(PROBLEM, space=ENDLESS))

    blocks, reason = run(search, world=lambda *_: OutcomeKind.REFUSED)

    assert reason is StopReason.NO_FEASIBLE
    assert len({block.arm for block in blocks}) == 64


def test_allowed_repeats_are_made_before_the_space_is_exhausted() -> None:
    search = RandomSearch(replace(PROBLEM, space=POOL, baseline=None, n_cases=3, max_repeats=2))

    blocks, reason = run(search)

    calls = {(block.arm, block.repeat, case) for block in blocks for case in block.cases}
    assert reason is StopReason.EXHAUSTED
    assert len(calls) == 12 * 3 * 2


def test_a_grid_runs_through_the_space_in_its_order() -> None:
    search = GridSearch(replace(PROBLEM, space=SearchSpace(parameters=(MODEL, HEAT)), baseline=None, n_cases=1))

    blocks, _ = run(search)

    assert [tuple(block.configuration.values()) for block in blocks[:6]] == [
        ("a", 0.0),
        ("a", 0.25),
        ("a", 0.5),
        ("a", 0.75),
        ("a", 1.0),
        ("b", 0.0),
    ]


def test_tpe_learns_which_model_is_better() -> None:
    space = SearchSpace(parameters=(MODEL, HEAT))
    search = OptunaSearch(replace(PROBLEM, space=space, baseline=None, n_cases=1), sampler="tpe")

    blocks, _ = run(search, 80, lambda c, _: (0.8 if c["model"] == "c" else 0.2) - abs(c["heat"] - 0.7))

    late = [block.configuration for block in blocks[40:]]
    best = search.recommend().best
    assert np.mean([configuration["model"] == "c" for configuration in late]) > 0.6
    assert best is not None
    assert best.configuration["heat"] == pytest.approx(0.7, abs=0.1)


def test_tpe_knows_what_the_baseline_scored() -> None:
    search = OptunaSearch(PROBLEM)

    run(search, 2)

    assert [trial.params for trial in search._study.trials] == [{"model": 1, "shots": 1}]


def test_a_baseline_outside_the_space_is_measured_all_the_same() -> None:
    search = OptunaSearch(replace(PROBLEM, baseline={"model": "z", "shots": 9}))

    run(search, 6)

    baseline = search.recommend().baseline
    assert baseline is not None
    assert baseline.n_calls == 20
