"""A space too large to list: how far the answer lies below the best. `python -m benchmarks.large_space --out DIR`.

The simulated task of `benchmarks/llm_task.py` with its score alone: eight models, ten prompts and five settings.
"""

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

from benchmarks.driving import Answer, Make, drive, markdown, mean_and_error
from benchmarks.llm_task import N_CASES, OBJECTIVES, SPACE, LlmTask, neighbour, task_problem
from benchmarks.processes import one_thread_each
from benchmarks.registry import ours
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import Stopping
from convergence_cluster.optimizers.baselines import RandomSearch
from convergence_cluster.optimizers.baselines_optuna import OptunaSearch
from convergence_cluster.optimizers.baselines_space import draw_configuration

MARKS = (500, 1000, 2000, 4000)
CLOSE = 0.01
N_KNOWN, N_ROUNDS, N_TOP, N_NEIGHBOURS = 3000, 12, 10, 20
"""The best known: of so many random configurations the best few, improved by rounds of local steps."""

METHODS: dict[str, tuple[Make, int]] = {
    "random-50": (RandomSearch, 50),
    "tpe-25": (partial(OptunaSearch, sampler="tpe", target="score"), 25),
    "tpe-50": (partial(OptunaSearch, sampler="tpe", target="score"), 50),
    "tpe": (partial(OptunaSearch, sampler="tpe", target="score"), N_CASES),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every method on every seed and print by how much its answers truly fall short."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_space", description=__doc__)
    parser.add_argument("--methods", default="ours,tpe-25,tpe-50", help="also tpe, random-50, ours-PART: without it")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=32)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    methods, first = options.methods.split(","), options.first_seed
    jobs = [(name, seed, options.workers) for seed in range(first, first + options.seeds) for name in methods]
    with one_thread_each(options.jobs) as pool:
        found = list(pool.map(_run, jobs))
    _write(options.out, methods, found)
    return 0


def best_known(task: LlmTask, seed: int) -> float:
    """Return the true score of the best configuration that a long search with the truth in hand finds."""
    rng = np.random.default_rng([seed, 5])
    configurations = [draw_configuration(SPACE, rng) for _ in range(N_KNOWN)]
    for _ in range(N_ROUNDS):
        scores = np.array([task.true_score(configuration) for configuration in configurations])
        top = [configurations[row] for row in np.argsort(-scores)[:N_TOP]]
        configurations = top + [neighbour(one, rng) for one in top for _ in range(N_NEIGHBOURS)]
    return max(task.true_score(configuration) for configuration in configurations)


def _run(job: tuple[str, int, int]) -> dict[str, Any]:
    name, seed, n_workers = job
    task = LlmTask(seed)
    known = best_known(task, seed)
    made, _, part = name.partition("-")
    make, n_cases = (ours(), N_CASES) if made == "ours" else METHODS[name]
    assert make is not None
    problem = replace(
        task_problem(seed, MARKS[-1], n_workers, n_cases),
        stopping=Stopping(enabled=False),
        objectives=OBJECTIVES[:1],
        settings={"ablate": [part]} if made == "ours" and part else {},
    )
    search = make(problem)

    def evaluate(configuration: Configuration, case: int, repeat: int) -> Answer:
        score, metrics = task.evaluate(configuration, case, repeat)
        return score, metrics[:1]

    shortfalls: dict[str, float] = {}
    began = time.process_time()
    for n_made in drive(search, evaluate, n_calls=MARKS[-1], n_workers=n_workers):
        if n_made in MARKS:
            best = search.recommend().best
            shortfalls[str(n_made)] = 1.0 if best is None else 1.0 - task.true_score(best.configuration) / known
    cpu_ms = 1000 * (time.process_time() - began) / MARKS[-1]
    return {"method": name, "seed": seed, "shortfalls": shortfalls, "cpu_ms_per_call": cpu_ms}


def _write(out: Path, methods: Sequence[str], found: Sequence[dict[str, Any]]) -> None:
    rows = []
    for name in methods:
        runs = [run for run in found if run["method"] == name]
        columns = [[run["shortfalls"].get(str(mark), 1.0) for run in runs] for mark in MARKS]
        close = np.mean([shortfall <= CLOSE for shortfall in columns[-1]])
        cpu = f"{np.mean([run['cpu_ms_per_call'] for run in runs]):.2f}"
        rows.append((name, str(len(runs)), *(mean_and_error(column) for column in columns), f"{close:.0%}", cpu))
    header = ("method", "seeds", *(f"{mark:,} calls" for mark in MARKS), "within 1 %", "CPU ms/call")
    text = markdown(header, rows)
    out.mkdir(parents=True, exist_ok=True)
    (out / "large_space.md").write_text(text, encoding="utf-8")
    (out / "large_space.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(text)


if __name__ == "__main__":
    sys.exit(main())
