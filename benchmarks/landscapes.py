"""The simulated chat landscapes, whose true optimum is known: how often it is found, and with how many calls.

`predecessor` has 320 configurations, 4 test cases and noise 0.05 a call; `wide` has 2,000 configurations and 40 cases.
Ours stops by itself; the others get all the calls. A run is right if the recommended configuration is truly within 1 %
of the best one.

    python -m benchmarks.landscapes [--seeds 50] [--workers 8] [--landscapes predecessor,wide]
"""

import argparse
import heapq
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.processes import one_thread_each
from convergence_cluster.coordinator.protocols import Optimizer
from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.search import Block, Direction, Objective, Observation, SearchProblem, Stopping
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.baselines import RandomSearch
from convergence_cluster.optimizers.baselines_optuna import OptunaSearch
from convergence_cluster.optimizers.racing import RacingSearch
from convergence_cluster.sandbox.landscapes import Landscape, landscape
from convergence_cluster.spec.schema_optimization import DEFAULT_REPEATS

MAX_CALLS = {"predecessor": 800, "wide": 4000}
METHODS: dict[str, Callable[[SearchProblem], Optimizer]] = {
    "ours": RacingSearch,
    "random": RandomSearch,
    "Optuna TPE": partial(OptunaSearch, sampler="tpe"),
    "Optuna NSGA-II": partial(OptunaSearch, sampler="nsga2"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One study of one method."""

    n_calls: int
    is_right: bool
    true_score: float
    error: float
    """Reported minus true."""
    is_covered: bool


def space_of(found: Landscape) -> SearchSpace:
    """Return a landscape's parameters; ascending numbers are ordinal."""
    parameters = []
    for name, values in found.parameters().items():
        is_numeric = len(values) > 1 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        kind = ParameterKind.ORDINAL if is_numeric else ParameterKind.CATEGORICAL
        when = found.conditions.get(name)
        conditions = None if when is None else {key: tuple(allowed) for key, allowed in when.items()}
        parameters.append(Parameter(name=name, kind=kind, values=tuple(values), when=conditions))
    return SearchSpace(parameters=tuple(parameters))


def run(name: str, method: str, n_workers: int, seed: int) -> Run:
    """Run one study with asynchronous workers of random speed."""
    found = landscape(name)
    is_ours = method == "ours"
    problem = SearchProblem(
        space=space_of(found),
        n_cases=found.n_cases,
        objectives=(Objective(name="quality", direction=Direction.MAXIMIZE),),
        baseline=next(iter(found.configurations())),
        max_calls=MAX_CALLS[name],
        parallelism=n_workers,
        max_repeats=DEFAULT_REPEATS,
        stopping=Stopping(enabled=is_ours),
        seed=seed,
    )
    search = METHODS[method](problem)
    n_calls = _simulate(search, found, n_workers=n_workers, max_calls=MAX_CALLS[name], seed=seed)
    best = search.recommend().best
    assert best is not None
    true = found.true_score(best.configuration)
    top = max(found.true_score(configuration) for configuration in found.configurations())
    return Run(
        n_calls=n_calls,
        is_right=true >= 0.99 * top,
        true_score=true,
        error=best.score.mean - true,
        is_covered=best.score.low <= true <= best.score.high,
    )


def _simulate(search: Optimizer, found: Landscape, *, n_workers: int, max_calls: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    queue: list[tuple[float, int, Block, int]] = []
    n_sent = n_told = 0
    now = 0.0
    while n_told < max_calls:
        while len(queue) < n_workers and n_sent < max_calls:
            block = search.ask()
            if not isinstance(block, Block):
                break
            for case in block.cases[: max_calls - n_sent]:
                heapq.heappush(queue, (now + rng.exponential(), n_sent, block, case))
                n_sent += 1
        if not queue:
            break
        now, _, block, case = heapq.heappop(queue)
        score = found.draw(block.configuration, case, block.repeat, seed)
        told = Observation(
            arm=block.arm, case=case, repeat=block.repeat, kind=OutcomeKind.OK, score=score, objectives=(score,)
        )
        search.tell((told,))
        n_told += 1
    return n_told


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--landscapes", default="predecessor,wide")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    print(
        "| landscape | method | calls (mean, at most) | within 1 % | true score | reported - true | interval holds it |"
    )
    print("|---|---|---|---|---|---|---|")
    with one_thread_each(options.jobs) as pool:
        for name in options.landscapes.split(","):
            for method in options.methods.split(","):
                runs = list(pool.map(partial(run, name, method, options.workers), range(options.seeds)))
                print(_row(name, method, runs), flush=True)
    return 0


def _row(name: str, method: str, runs: list[Run]) -> str:
    calls = [each.n_calls for each in runs]
    errors = np.array([each.error for each in runs])
    margin = errors.std(ddof=1) / np.sqrt(len(errors)) if len(errors) > 1 else 0.0
    right = np.mean([each.is_right for each in runs])
    true = np.mean([each.true_score for each in runs])
    covered = np.mean([each.is_covered for each in runs])
    return (
        f"| {name} | {method} | {np.mean(calls):.0f}, {max(calls)} | {right:.0%} of {len(runs)} | {true:.4f} "
        f"| {errors.mean():+.4f} ± {margin:.4f} | {covered:.0%} |"
    )


if __name__ == "__main__":
    sys.exit(main())
