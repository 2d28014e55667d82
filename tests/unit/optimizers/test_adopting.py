"""A search goes on with what another one decided: on another processor, or of another release."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pytest

from convergence_cluster.coordinator.protocols import ResumableOptimizer
from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import ArmId, Configuration, canonical_json
from convergence_cluster.domain.search import (
    Block,
    Direction,
    Elite,
    Legacy,
    Objective,
    Observation,
    SearchProblem,
    Stopping,
)
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.baselines import GridSearch, RandomSearch
from convergence_cluster.optimizers.baselines_optuna import OptunaSearch
from convergence_cluster.optimizers.racing import RacingSearch

Past: TypeAlias = list[Block | list[Observation]]

MODEL = Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=("a", "b", "c"))
LEVEL = Parameter(name="level", kind=ParameterKind.ORDINAL, values=tuple(range(6)))
HEAT = Parameter(name="heat", kind=ParameterKind.CONTINUOUS, low=0.0, high=1.0)
DEPTH = Parameter(name="depth", kind=ParameterKind.INTEGER, low=1, high=9, when={"model": ("a", "b")})
PROBLEM = SearchProblem(
    space=SearchSpace(parameters=(MODEL, LEVEL)),
    n_cases=12,
    objectives=(Objective(name="quality", direction=Direction.MAXIMIZE),),
    baseline={"model": "c", "level": 0},
    stopping=Stopping(enabled=False),
    parallelism=6,
    seed=1,
)
PROBLEMS = {
    "a list": PROBLEM,
    "a list with repeats": replace(PROBLEM, n_cases=3, max_repeats=3),
    "a large space": replace(PROBLEM, space=SearchSpace(parameters=(MODEL, HEAT, DEPTH)), baseline=None),
    "a pool whose baseline is elsewhere": replace(
        PROBLEM,
        space=SearchSpace(
            parameters=(MODEL, LEVEL),
            candidates=tuple({"model": model, "level": level} for model in "ab" for level in range(6)),
        ),
    ),
    "elites": replace(
        PROBLEM, legacy=Legacy(elites=(Elite(configuration={"model": "b", "level": 4}, score=0.7, n_calls=12),))
    ),
    "two metrics": replace(
        PROBLEM, objectives=(*PROBLEM.objectives, Objective(name="cost", direction=Direction.MINIMIZE))
    ),
}
SEARCHES: dict[str, Callable[[SearchProblem], ResumableOptimizer]] = {
    "ours": RacingSearch,
    "random": RandomSearch,
    "grid": GridSearch,
    "tpe": OptunaSearch,
}


def observed(block: Block, n_objectives: int) -> list[Observation]:
    made = []
    for case in block.cases:
        key = [case, block.repeat, *canonical_json(block.configuration).encode()]
        score = float(np.clip(quality(block.configuration) + 0.1 * np.random.default_rng(key).standard_normal(), 0, 1))
        metrics = (score, 1.0 - 0.5 * score)[:n_objectives]
        made.append(
            Observation(
                arm=block.arm, case=case, repeat=block.repeat, kind=OutcomeKind.OK, score=score, objectives=metrics
            )
        )
    return made


def quality(configuration: Configuration) -> float:
    place = float(configuration.get("level", 5 * configuration.get("heat", 0.0)))
    return 0.2 + 0.1 * "cab".index(configuration["model"]) + 0.1 * (4 - abs(place - 4))


def driven(search: ResumableOptimizer, problem: SearchProblem, n_calls: int, *, seed: int) -> Past:
    """Ask until so many calls were asked for, several blocks at a time, which come back in any order."""
    rng = np.random.default_rng(seed)
    past: Past = []
    waiting: list[Block] = []
    n_asked = 0
    while n_asked < n_calls:
        block = search.ask() if len(waiting) < 3 else None
        if isinstance(block, Block):
            past.append(block)
            waiting.append(block)
            n_asked += len(block.cases)
            continue
        if not waiting:
            break
        seen = observed(waiting.pop(int(rng.integers(len(waiting)))), len(problem.objectives))
        search.tell(seen)
        past.append(seen)
    return past


def taken_over(search: ResumableOptimizer, past: Past) -> None:
    for event in past:
        if isinstance(event, Block):
            search.adopt(event)
        else:
            search.tell(event)


def cells(past: Past) -> list[tuple[int, int, int]]:
    return [(event.arm, case, event.repeat) for event in past if isinstance(event, Block) for case in event.cases]


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_goes_on_with_what_another_seed_decided_and_asks_nothing_twice(name: str, kind: str) -> None:
    problem = PROBLEMS[kind]
    past = driven(SEARCHES[name](problem), problem, 60, seed=0)
    other = SEARCHES[name](replace(problem, seed=7))

    taken_over(other, past)
    unanswered = set(cells(past)) - {(o.arm, o.case, o.repeat) for e in past if not isinstance(e, Block) for o in e}
    future = driven(other, problem, 60, seed=1)

    assert len(cells(past + future)) == len(set(cells(past + future))) >= 100
    assert not unanswered & set(cells(future))
    arms = {e.arm: canonical_json(e.configuration) for e in (*past, *future) if isinstance(e, Block)}
    assert sorted(arms) == list(range(len(arms)))
    assert len(set(arms.values())) == len(arms)
    answer = other.recommend(full=True)
    n_told = sum(len(event) for event in (*past, *future) if not isinstance(event, Block))
    assert answer.n_calls == sum(arm.n_calls for arm in answer.arms) == n_told


@pytest.mark.parametrize("kind", PROBLEMS)
def test_what_was_taken_over_is_believed_as_if_it_had_been_decided_here(kind: str) -> None:
    problem = PROBLEMS[kind]
    original, other = RacingSearch(problem), RacingSearch(problem)
    taken_over(other, driven(original, problem, 150, seed=0))

    expected, found = original.recommend(full=True), other.recommend(full=True)

    assert [arm.configuration for arm in found.arms] == [arm.configuration for arm in expected.arms]
    assert [arm.score.mean for arm in found.arms] == pytest.approx([arm.score.mean for arm in expected.arms], abs=1e-6)
    assert [arm.operator for arm in found.arms] == [arm.operator for arm in expected.arms]
    assert (found.baseline is None) == (problem.baseline is None)


@pytest.mark.parametrize("name", SEARCHES)
def test_an_arm_before_its_turn_is_refused(name: str) -> None:
    block = Block(arm=ArmId(1), configuration={"model": "a", "level": 1}, cases=(0,), operator="pool")

    with pytest.raises(ValueError, match="arm 1 comes before arm 0"):
        SEARCHES[name](PROBLEM).adopt(block)
