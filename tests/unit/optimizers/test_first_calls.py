"""The first calls: more arms before anything is known, and answers that wait for as many cases as noise makes wise."""

import numpy as np
import pytest

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.search import Block, Direction, Objective, Observation, SearchProblem
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.racing import RacingSearch


def _search() -> RacingSearch:
    levels = Parameter(name="level", kind=ParameterKind.ORDINAL, values=tuple(range(40)))
    quality = Objective(name="quality", direction=Direction.MAXIMIZE)
    return RacingSearch(
        SearchProblem(space=SearchSpace(parameters=(levels,)), n_cases=20, objectives=(quality,), seed=1)
    )


def _ask(search: RacingSearch) -> Block:
    block = search.ask()
    assert isinstance(block, Block)
    return block


def _tell(search: RacingSearch, block: Block, score: float) -> None:
    for case in block.cases:
        search.tell([Observation(arm=block.arm, case=case, repeat=0, kind=OutcomeKind.OK, score=score)])


def test_before_anything_is_known_arms_after_the_pilots_get_few_cases() -> None:
    search = _search()
    sizes = [len(_ask(search).cases) for _ in range(10)]
    assert sizes[:4] == [4] * 4
    assert max(sizes[4:]) <= 2


@pytest.mark.parametrize(("scatter", "is_enough"), [(0.0, True), (0.3, False)])
def test_a_single_case_makes_an_answer_only_where_calls_hardly_scatter(scatter: float, *, is_enough: bool) -> None:
    search, rng = _search(), np.random.default_rng(3)
    n_cases: dict[int, int] = {}
    for k in range(12):
        block = _ask(search)
        n_cases[int(block.arm)] = n_cases.get(int(block.arm), 0) + len(block.cases)
        for case in block.cases:
            score = float(np.clip(0.2 + 0.05 * k + scatter * rng.choice([-1, 1]), 0, 1))
            search.tell([Observation(arm=block.arm, case=case, repeat=0, kind=OutcomeKind.OK, score=score)])
    best = search.recommend().best
    assert best is not None
    assert (n_cases[int(best.arm)] < 4) == is_enough


def test_an_arm_with_one_call_told_gets_its_next_calls_without_waiting_for_each() -> None:
    search = _search()
    for _ in range(4):
        _tell(search, _ask(search), 0.1)
    hopeful = _ask(search)
    _tell(search, hopeful, 0.9)
    asked = [_ask(search) for _ in range(30)]
    assert sum(len(block.cases) for block in asked if block.arm == hopeful.arm) >= 2 * len(hopeful.cases)
