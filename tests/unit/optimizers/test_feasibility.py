"""What cannot be run is learned by the parameters' values, and not paid for again and again."""

from collections.abc import Callable

import numpy as np
import pytest

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import Block, Direction, Objective, Observation, SearchProblem
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.design import Design
from convergence_cluster.optimizers.feasibility import Feasibility
from convergence_cluster.optimizers.genome import Codec
from convergence_cluster.optimizers.racing import RacingSearch

ENGINE = Parameter(name="engine", kind=ParameterKind.CATEGORICAL, values=("a", "b", "c"))
LEVEL = Parameter(name="level", kind=ParameterKind.ORDINAL, values=(1, 2, 3, 4, 5, 6))
MODE = Parameter(name="mode", kind=ParameterKind.CATEGORICAL, values=("x", "y", "z"))
SIZE = Parameter(name="size", kind=ParameterKind.CONTINUOUS, low=0.0, high=1.0)
HEAT = Parameter(name="heat", kind=ParameterKind.CONTINUOUS, low=0.0, high=1.0)
LISTED = SearchSpace(parameters=(ENGINE, LEVEL, MODE))
LARGE = SearchSpace(parameters=(SIZE, HEAT, MODE))
N_WORKERS = 8

Says = Callable[[Configuration], bool]


def quality(configuration: Configuration) -> float:
    """What looks best mostly cannot run."""
    value = 0.3 + 0.1 * "abc".index(configuration.get("engine", "a")) + 0.05 * configuration.get("level", 0)
    value += 0.5 * configuration.get("size", 0.0) + 0.1 * configuration.get("heat", 0.0)
    return float(value - 0.03 * "xyz".index(configuration["mode"]))


def lost(
    space: SearchSpace, runs: Says, kind: OutcomeKind, *, seed: int, flaky: float = 0.0
) -> tuple[int, RacingSearch]:
    """Return how many of up to 200 calls went to what cannot run, and the search after them."""
    search = RacingSearch(
        SearchProblem(
            space=space,
            n_cases=10,
            objectives=(Objective(name="quality", direction=Direction.MAXIMIZE),),
            parallelism=N_WORKERS,
            seed=seed,
        )
    )
    rng = np.random.default_rng(seed)
    waiting: list[Block] = []
    n_asked = n_lost = 0
    while True:
        while n_asked < 200 and sum(len(block.cases) for block in waiting) < N_WORKERS:
            block = search.ask()
            if not isinstance(block, Block):
                break
            waiting.append(block)
            n_asked += len(block.cases)
            n_lost += 0 if runs(block.configuration) else len(block.cases)
        if not waiting:
            return n_lost, search
        block = waiting.pop(0)
        for case in block.cases:
            is_down = rng.random() < flaky
            score = float(np.clip(quality(block.configuration) + 0.1 * rng.standard_normal(), 0.0, 1.0))
            runs_here = runs(block.configuration)
            is_ok = runs_here and not is_down
            search.tell(
                [
                    Observation(
                        arm=block.arm,
                        case=case,
                        repeat=block.repeat,
                        kind=OutcomeKind.OK if is_ok else OutcomeKind.FAILED if runs_here else kind,
                        score=score if is_ok else None,
                        objectives=(score,) if is_ok else (),
                    )
                ]
            )


@pytest.mark.parametrize(("kind", "most"), [(OutcomeKind.INFEASIBLE, 18), (OutcomeKind.FAILED, 50)])
@pytest.mark.parametrize("seed", range(3))
def test_a_level_that_never_runs_is_soon_left_alone(kind: OutcomeKind, most: int, seed: int) -> None:
    n_lost, search = lost(LISTED, lambda configuration: configuration["engine"] != "c", kind, seed=seed)

    best = search.recommend().best
    assert n_lost <= most  # each of its 18 configurations once, and most of them four times
    assert best is not None
    assert quality(best.configuration) > 0.6


@pytest.mark.parametrize("seed", range(3))
def test_a_number_above_which_nothing_runs_is_found(seed: int) -> None:
    n_lost, search = lost(LARGE, lambda c: c["size"] < 0.4, OutcomeKind.INFEASIBLE, seed=seed)

    best = search.recommend().best
    assert n_lost < 100  # 160 to 180 where nothing is learned of it
    assert best is not None
    assert 0.25 < best.configuration["size"] < 0.4


def test_where_little_runs_it_is_found_all_the_same() -> None:
    only = {"engine": "a", "level": 1, "mode": "x"}

    _, search = lost(LISTED, lambda configuration: configuration == only, OutcomeKind.INFEASIBLE, seed=1)

    best = search.recommend().best
    assert best is not None
    assert best.configuration == only


def test_calls_that_fail_by_chance_keep_nothing_from_being_found() -> None:
    best = lost(LISTED, lambda _: True, OutcomeKind.FAILED, seed=0, flaky=0.3)[1].recommend().best

    assert best is not None
    assert best.configuration["engine"] == "c"
    assert best.configuration["level"] >= 5


def test_while_everything_runs_nothing_is_drawn() -> None:
    codec = Codec(LISTED)
    design = Design(codec, None)
    rng, untouched = np.random.default_rng(1), np.random.default_rng(1)
    features = design.features(codec.random(9, np.random.default_rng(0)))

    assert Feasibility(design).drawn(features, rng).all()
    assert rng.random() == untouched.random()
