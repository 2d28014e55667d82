"""Compares searches on functions nobody here made: `python -m benchmarks.functions --out DIR`.

The functions are those of coco-experiment: mixed-integer ones, noisy ones, and mixed-integer ones with two objectives.
A call is one evaluation; budgets are short, as they are where calls cost money.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import cocoex
import numpy as np
from numpy.typing import NDArray

from benchmarks.driving import Answer, Make, drive, hypervolume, markdown
from benchmarks.processes import one_thread_each
from benchmarks.registry import ours
from convergence_cluster.coordinator.protocols import Optimizer
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import Direction, Objective, SearchProblem, Stopping
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.baselines import RandomSearch
from convergence_cluster.optimizers.baselines_optuna import OptunaSearch, Target
from convergence_cluster.optimizers.baselines_space import draw_configuration

MARKS = (25, 50, 100, 200)
N_REFERENCE = 300
"""Random points, not counted as calls, that fix the scale of a function before the first call."""
N_TRUTH = 101
"""The true value of a noisy point is the median of so many evaluations."""
MAX_REPEATS = 8
"""How often a noisy point may be drawn."""

SUITES = {"mixint": "bbob-mixint", "noisy": "bbob-noisy", "biobj": "bbob-biobj-mixint"}
METHODS = ("ours", "tpe", "nsga2", "random")


Values: TypeAlias = Callable[[Configuration], NDArray[np.float64]]
"""From a point to its objectives, shape (n_objectives,), to be minimised."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Fixed by random points: the median and the spread of each objective, shape (n_objectives,)."""

    middle: NDArray[np.float64]
    spread: NDArray[np.float64]

    def utilities(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return values, to be minimised, as utilities in (0, 1): one half at the median."""
        exponent = np.clip((values - self.middle) / self.spread, -50, 50)
        return np.asarray(1 / (1 + np.exp(exponent)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every method on every function and print how much of the way to the best known each goes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.functions", description=__doc__)
    parser.add_argument("--suites", default="mixint,noisy,biobj")
    parser.add_argument("--methods", default=",".join(METHODS), help="also ours-PART: without that part of it")
    parser.add_argument("--dimension", type=int, default=5)
    parser.add_argument("--functions", type=int, default=12, help="of each suite, evenly spread")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    methods = [name for name in options.methods.split(",") if name != "ours" or ours() is not None]
    if "ours" in options.methods.split(",") and "ours" not in methods:
        print("ours: skipped, the search is not there yet", flush=True)
    jobs = [
        (suite, options.dimension, number, method, seed, options.workers)
        for suite in options.suites.split(",")
        for number in _chosen(suite, options.dimension, options.functions)
        for seed in range(options.seeds)
        for method in methods
    ]
    with one_thread_each(options.jobs) as pool:
        found = list(pool.map(_run, jobs))
    _write(options, methods, found)
    return 0


def space_of(function: Any) -> SearchSpace:
    """Return a function's domain: the first variables are whole numbers, the others real."""
    n_integers = int(function.number_of_integer_variables)
    ends = zip(function.lower_bounds, function.upper_bounds, strict=True)
    return SearchSpace(
        parameters=tuple(
            Parameter(
                name=f"x{k:02d}",
                kind=ParameterKind.INTEGER if k < n_integers else ParameterKind.CONTINUOUS,
                low=float(low),
                high=float(high),
                step=1.0 if k < n_integers else None,
            )
            for k, (low, high) in enumerate(ends)
        )
    )


def _chosen(suite: str, dimension: int, n_functions: int) -> list[int]:
    picks = np.linspace(0, len(_suite(suite, dimension)) - 1, n_functions).round().astype(int)
    return [int(pick) for pick in np.unique(picks)]


@lru_cache(maxsize=4)
def _suite(name: str, dimension: int) -> Any:
    return cocoex.Suite(SUITES[name], "", f"dimensions:{dimension} instance_indices:1")


def _run(job: tuple[str, int, int, str, int, int]) -> dict[str, Any]:
    suite, dimension, number, method, seed, n_workers = job
    function = _suite(suite, dimension).get_problem(number)
    space = space_of(function)
    evaluate = partial(_values, function)
    scale = _scale(evaluate, space, number)
    n_objectives = len(scale.middle)
    made, _, part = method.partition("-")
    search = _made(made, "objectives" if n_objectives > 1 else "score")(
        SearchProblem(
            space=space,
            n_cases=1,
            objectives=tuple(Objective(name=f"f{k}", direction=Direction.MINIMIZE) for k in range(n_objectives)),
            max_calls=MARKS[-1],
            parallelism=n_workers,
            max_repeats=MAX_REPEATS if suite == "noisy" else 1,
            stopping=Stopping(enabled=False),
            settings={"ablate": [part]} if part else {},
            seed=seed,
        )
    )
    quality, cpu_ms = _qualities(search, evaluate, scale, n_workers)
    facts = {"suite": suite, "function": str(function.id), "method": method, "seed": seed}
    return facts | {"quality": quality, "cpu_ms_per_call": cpu_ms}


def _scale(evaluate: Values, space: SearchSpace, number: int) -> Scale:
    rng = np.random.default_rng([number, 81])
    reference = np.array([evaluate(draw_configuration(space, rng)) for _ in range(N_REFERENCE)])
    low, high = np.quantile(reference, [0.25, 0.75], axis=0)
    return Scale(middle=np.median(reference, axis=0), spread=np.maximum(high - low, 1e-12))


def _qualities(search: Optimizer, evaluate: Values, scale: Scale, n_workers: int) -> tuple[dict[str, float], float]:
    """Return what was reached at each mark, and the CPU time per call; a search that ends early stays where it is."""
    seen: list[NDArray[np.float64]] = []
    quality: dict[str, float] = {}

    def answer(configuration: Configuration, _case: int, _repeat: int) -> Answer:
        values = evaluate(configuration)
        seen.append(values)
        return float(scale.utilities(values).mean()), tuple(values.tolist())

    began = time.process_time()
    for n_made in drive(search, answer, n_calls=MARKS[-1], n_workers=n_workers):
        if n_made in MARKS:
            quality[str(n_made)] = _quality(search, seen, scale, evaluate)
    cpu_ms = 1000 * (time.process_time() - began) / max(len(seen), 1)
    last = _quality(search, seen, scale, evaluate)
    return {str(mark): quality.get(str(mark), last) for mark in MARKS}, cpu_ms


def _made(method: str, target: Target) -> Make:
    if method == "ours":
        made = ours()
        assert made is not None
        return made
    makes: dict[str, Make] = {
        "random": RandomSearch,
        "tpe": partial(OptunaSearch, sampler="tpe", target=target),
        "nsga2": partial(OptunaSearch, sampler="nsga2", target=target),
    }
    return makes[method]


def _values(function: Any, configuration: Configuration) -> NDArray[np.float64]:
    point = np.array([configuration[name] for name in sorted(configuration)], dtype=float)
    return np.atleast_1d(np.asarray(function(point), dtype=float))


def _quality(search: Optimizer, seen: Sequence[NDArray[np.float64]], scale: Scale, evaluate: Values) -> float:
    """Return the true utility of the recommended point, or the hypervolume of all points seen, in utilities."""
    if len(scale.middle) > 1:
        return hypervolume(scale.utilities(np.array(seen)))
    best = search.recommend().best
    if best is None:
        return 0.0
    truths = np.array([evaluate(best.configuration) for _ in range(N_TRUTH)])
    return float(scale.utilities(np.median(truths, axis=0))[0])


def _write(options: argparse.Namespace, methods: Sequence[str], found: Sequence[dict[str, Any]]) -> None:
    best: dict[str, float] = {}
    for run in found:
        best[run["function"]] = max(best.get(run["function"], 0.0), *run["quality"].values())
    rows = []
    for suite in options.suites.split(","):
        for method in methods:
            runs = [run for run in found if run["suite"] == suite and run["method"] == method]
            gaps = [[best[run["function"]] - run["quality"][str(mark)] for mark in MARKS] for run in runs]
            cells = [f"{np.mean(gap):.4f}" for gap in zip(*gaps, strict=True)]
            wins = f"{100 * np.mean([_is_winner(run, found) for run in runs]):.0f}"
            cpu = f"{np.mean([run['cpu_ms_per_call'] for run in runs]):.2f}"
            rows.append((SUITES[suite], method, str(len(runs)), *cells, wins, cpu))
    header = ("suite", "method", "runs", *(f"{mark} calls" for mark in MARKS), "best at the end, %", "CPU ms/call")
    text = "Mean distance to the best known, in utility (0 to 1; lower is better)\n\n" + markdown(header, rows)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "functions.md").write_text(text, encoding="utf-8")
    (options.out / "functions.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(text)


def _is_winner(run: dict[str, Any], found: Sequence[dict[str, Any]]) -> bool:
    mark = str(MARKS[-1])
    rivals = [r["quality"][mark] for r in found if (r["function"], r["seed"]) == (run["function"], run["seed"])]
    return bool(run["quality"][mark] >= max(rivals) - 1e-9)


if __name__ == "__main__":
    sys.exit(main())
