"""The incumbent is the recommended arm with the score that the whole answer gives it, at every moment."""

from dataclasses import replace

import pytest

from convergence_cluster.domain.search import Block, Direction, Incumbent, Objective, SearchProblem
from tests.unit.optimizers.test_adopting import PROBLEMS, SEARCHES, observed

WITH_BOUND = replace(
    PROBLEMS["two metrics"],
    objectives=(
        Objective(name="quality", direction=Direction.MAXIMIZE),
        Objective(name="cost", direction=Direction.MINIMIZE, high=0.75),
    ),
)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("problem", [*PROBLEMS.values(), WITH_BOUND], ids=[*PROBLEMS, "a bound"])
def test_it_is_what_the_answer_says(name: str, problem: SearchProblem) -> None:
    search = SEARCHES[name](problem)
    assert search.incumbent() is None

    n_answers = 0
    for _ in range(60):
        decision = search.ask()
        if not isinstance(decision, Block):
            break
        search.tell(observed(decision, len(problem.objectives)))
        best, found = search.recommend().best, search.incumbent()
        assert found == (None if best is None else Incumbent(arm=best.arm, score=best.score))
        n_answers += found is not None

    assert n_answers > 5
