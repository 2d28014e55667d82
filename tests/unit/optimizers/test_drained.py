"""A search that decided to stop looks again when the calls that were on their way have come."""

from collections import deque
from dataclasses import replace

import pytest

from convergence_cluster.domain.search import Block, Observation, StopReason
from convergence_cluster.optimizers.racing import RacingSearch
from tests.unit.optimizers.small_worlds import binary_scores, small_problem, told_of

N_WORKERS = 24


@pytest.mark.parametrize("seed", [0, 6, 9])
def test_what_comes_after_the_decision_may_undo_it(seed: int) -> None:
    search = RacingSearch(small_problem(n_cases=200, seed=seed, parallelism=N_WORKERS))
    flying, decision = deque[Observation](), search.ask()
    while not isinstance(decision, StopReason):
        if isinstance(decision, Block):
            flying.extend(told_of(decision, binary_scores(seed)))
        if decision is None or len(flying) >= N_WORKERS:
            search.tell([flying.popleft()])
        decision = search.ask() if len(flying) < N_WORKERS else None
    best = search.recommend().best
    assert decision is StopReason.CERTAIN
    assert best is not None
    assert len(flying) > N_WORKERS / 2

    for seen in flying:
        score = float(seen.arm != best.arm)
        search.tell([replace(seen, score=score, objectives=(score,))])

    assert isinstance(search.ask(), Block)
