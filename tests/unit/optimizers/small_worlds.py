"""Small worlds to search, whose truth is known: a grid of models and levels, scored by coins."""

from collections.abc import Callable

import numpy as np

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import Configuration, canonical_json
from convergence_cluster.domain.search import Block, Direction, Objective, Observation, SearchProblem, StopReason
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.racing import RacingSearch

Score = Callable[[Configuration, int, int], float | None]
QUALITY = Objective(name="quality", direction=Direction.MAXIMIZE)


def small_grid(n_models: int = 4, n_levels: int = 5) -> SearchSpace:
    models = tuple(f"m{k}" for k in range(n_models))
    levels = tuple(range(n_levels))
    return SearchSpace(
        parameters=(
            Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=models),
            Parameter(name="level", kind=ParameterKind.ORDINAL, values=levels),
        )
    )


def small_problem(**changes: object) -> SearchProblem:
    settings: dict[str, object] = {"space": small_grid(), "n_cases": 20, "objectives": (QUALITY,), "seed": 1, **changes}
    return SearchProblem(**settings)  # type: ignore[arg-type]  # the names are those of the dataclass


def true_quality(configuration: Configuration) -> float:
    return float(0.3 + 0.1 * int(configuration["model"][1:]) + 0.05 * (2 - abs(configuration["level"] - 2)))


def binary_scores(seed: int) -> Score:
    def score(configuration: Configuration, case: int, repeat: int) -> float:
        key = [seed, case, repeat, *canonical_json(configuration).encode()]
        return float(np.random.default_rng(key).random() < true_quality(configuration))

    return score


def told_of(block: Block, score: Score) -> list[Observation]:
    made = []
    for case in block.cases:
        value = score(block.configuration, case, block.repeat)
        kind = OutcomeKind.OK if value is not None else OutcomeKind.FAILED
        metrics = () if value is None else (value,)
        made.append(
            Observation(arm=block.arm, case=case, repeat=block.repeat, kind=kind, score=value, objectives=metrics)
        )
    return made


def run_to(search: RacingSearch, score: Score, n_calls: int) -> tuple[list[Block], StopReason | None]:
    blocks: list[Block] = []
    while sum(len(block.cases) for block in blocks) < n_calls:
        block = search.ask()
        if not isinstance(block, Block):
            return blocks, block
        blocks.append(block)
        search.tell(told_of(block, score))
    return blocks, None
