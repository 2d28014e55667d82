"""Compares fronts on a simulated three-objective LLM task: `python -m benchmarks.pareto --out DIR`."""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.driving import Make, drive, greedy_subset, hypervolume, markdown, mean_and_error
from benchmarks.llm_task import N_CASES, SPACE, LlmTask, neighbour, scaled, task_problem
from benchmarks.methods_front import ParetoHalving
from benchmarks.processes import one_thread_each
from benchmarks.registry import ours
from convergence_cluster.coordinator.protocols import Optimizer
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import Stopping
from convergence_cluster.optimizers.baselines import RandomSearch
from convergence_cluster.optimizers.baselines_optuna import OptunaSearch
from convergence_cluster.optimizers.baselines_space import draw_configuration

MARKS = (1000, 2000, 4000)
MAX_FRONT = 10
N_KNOWN = 8000
N_WEIGHTS = 100
N_ROUNDS = 6
N_NEIGHBOURS = 20
"""The best known front: of so many random configurations the best by each weight, improved by rounds of local steps."""

METHODS: dict[str, tuple[Make, int]] = {
    "random-50": (RandomSearch, 50),
    "tpe-25": (partial(OptunaSearch, sampler="tpe", target="objectives"), 25),
    "tpe-50": (partial(OptunaSearch, sampler="tpe", target="objectives"), 50),
    "tpe": (partial(OptunaSearch, sampler="tpe", target="objectives"), N_CASES),
    "nsga2-25": (partial(OptunaSearch, sampler="nsga2", target="objectives"), 25),
    "nsga2-50": (partial(OptunaSearch, sampler="nsga2", target="objectives"), 50),
    "mo-asha": (ParetoHalving, N_CASES),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every method on every seed and print the share of the best known hypervolume."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pareto", description=__doc__)
    parser.add_argument("--methods", default="ours,tpe-25,tpe-50,tpe,nsga2-25,nsga2-50,mo-asha,random-50")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    methods = [name for name in options.methods.split(",") if _is_there(name)]
    jobs = [(name, seed, options.workers) for seed in range(options.seeds) for name in methods]
    with one_thread_each(options.jobs) as pool:
        found = list(pool.map(_run, jobs))
    _write(options.out, methods, found)
    return 0


def best_known(task: LlmTask, seed: int) -> float:
    """Return the hypervolume of the ten best configurations that a long search with the truth in hand finds."""
    rng = np.random.default_rng([seed, 72])
    weights = rng.dirichlet(np.ones(3), size=N_WEIGHTS)
    configurations = [draw_configuration(SPACE, rng) for _ in range(N_KNOWN)]
    for _ in range(N_ROUNDS):
        points = np.array([task.truth(configuration) for configuration in configurations])
        kept = [configurations[row] for row in sorted(set((points @ weights.T).argmax(axis=0).tolist()))]
        configurations = kept + [neighbour(one, rng) for one in kept for _ in range(N_NEIGHBOURS)]
    points = np.array([task.truth(configuration) for configuration in kept])
    return hypervolume(points[greedy_subset(points, MAX_FRONT)])


def _is_there(name: str) -> bool:
    if name == "ours" and ours() is None:
        print("ours: skipped, the search is not there yet", flush=True)
        return False
    return True


def _run(job: tuple[str, int, int]) -> dict[str, Any]:
    name, seed, n_workers = job
    task = LlmTask(seed)
    made, n_cases = (ours(), N_CASES) if name == "ours" else METHODS[name]
    assert made is not None
    problem = task_problem(seed, MARKS[-1], n_workers, n_cases)
    search = made(replace(problem, stopping=Stopping(enabled=False)))
    known = best_known(task, seed)
    shares: dict[str, float] = {}
    began = time.process_time()
    n_made = 0
    for n_made in drive(search, task.evaluate, n_calls=MARKS[-1], n_workers=n_workers):
        if n_made in MARKS:
            shares[str(n_made)] = true_volume(task, search, is_ordered=name == "ours") / known
    cpu_ms = 1000 * (time.process_time() - began) / max(n_made, 1)
    for mark in MARKS:
        shares.setdefault(str(mark), true_volume(task, search, is_ordered=name == "ours") / known)
    return {"method": name, "seed": seed, "shares": shares, "cpu_ms_per_call": cpu_ms, "n_calls": n_made}


def true_volume(task: LlmTask, search: Optimizer, *, is_ordered: bool) -> float:
    """Return the true hypervolume of the ten configurations that a search would recommend.

    The first ten where the front is in order of what they cover, else those that cover most if all is as claimed.
    """
    front = search.recommend().front
    if not front:
        return 0.0
    if is_ordered:
        return hypervolume(np.array([task.truth(e.configuration) for e in front[:MAX_FRONT]]))
    claimed = np.array([scaled(*(interval.mean for interval in _positive(e.objectives))) for e in front])
    chosen: list[Configuration] = [front[row].configuration for row in greedy_subset(claimed, MAX_FRONT)]
    return hypervolume(np.array([task.truth(configuration) for configuration in chosen]))


def _positive(intervals: Sequence[Any]) -> list[Any]:
    quality, *others = intervals
    return [quality, *(type(i)(mean=max(i.mean, 1e-9), low=i.low, high=i.high) for i in others)]


def _write(out: Path, methods: Sequence[str], found: Sequence[dict[str, Any]]) -> None:
    rows = []
    for name in methods:
        runs = [run for run in found if run["method"] == name]
        shares = [mean_and_error([run["shares"][str(mark)] for run in runs]) for mark in MARKS]
        cpu = f"{np.mean([run['cpu_ms_per_call'] for run in runs]):.2f}"
        rows.append((name, str(len(runs)), *shares, cpu))
    text = markdown(("method", "seeds", *(f"{mark:,} calls" for mark in MARKS), "CPU ms/call"), rows)
    out.mkdir(parents=True, exist_ok=True)
    (out / "pareto.md").write_text(text, encoding="utf-8")
    (out / "pareto.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    sys.exit(main())
