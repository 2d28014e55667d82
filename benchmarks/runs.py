"""Running methods over seeds, in several processes, and keeping each run on disk so that none is made twice."""

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from benchmarks.methods_planned import Step, answers_at
from benchmarks.processes import one_thread_each
from benchmarks.registry import Setup, entries
from benchmarks.simulation import Verdict, checkpoints, simulate
from benchmarks.tables import Table, read_table
from benchmarks.worlds import World, draw_world

Record: TypeAlias = dict[str, Any]
"""One run as it lies on disk, a line of JSON."""

COVERAGE_SLACK = 1e-6
"""Means are recorded as 32-bit numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One method at one setting on one table in one world."""

    data: Path
    table: str
    method: str
    setting: str
    seed: int
    n_workers: int
    horizon: int
    max_trials: int

    @property
    def key(self) -> tuple[str, int]:
        """Identify the run within its file."""
        return (self.setting, self.seed)


def run_job(job: Job) -> Record:
    """Run one job and return its record."""
    table = _table(job.data, job.table)
    world = draw_world(table, job.seed)
    entry = entries()[job.method]
    points = checkpoints(job.horizon)
    record: Record = {"setting": job.setting, "seed": job.seed}
    if entry.kind == "simulated":
        setup = Setup(table=table, world=world, n_workers=job.n_workers, horizon=job.horizon, max_trials=job.max_trials)
        trace = simulate(entry.builds[job.setting](setup), world, n_workers=job.n_workers, points=points)
        verdicts = _on_grid(trace.calls, trace.verdicts, points)
        record |= {"cpu_ms_per_call": 1000 * trace.cpu_s / max(trace.n_calls, 1)}
        return record | {"n_calls": trace.n_calls, "is_stopped": trace.is_stopped} | _judged(world, verdicts)
    assert entry.plan is not None
    began = time.process_time()
    steps = entry.plan(table)(world, job.horizon)
    cpu_ms = 1000 * (time.process_time() - began)
    if entry.kind == "planned":
        n_calls = steps[-1].calls if steps else 0
        judged = _judged(world, answers_at(steps, points))
        return record | {"cpu_ms_per_call": cpu_ms / max(n_calls, 1), "n_calls": n_calls, "is_stopped": False} | judged
    total = sum(step.calls for step in steps)
    return record | {"cpu_ms_per_call": cpu_ms / max(total, 1), "runs": [_step(world, step) for step in steps]}


def run_all(jobs: Sequence[Job], folder: Path, n_processes: int) -> Iterator[tuple[Job, float]]:
    """Run what is not on disk yet; yield each job when its record is, with the seconds it took."""
    known: dict[Path, set[tuple[str, int]]] = {}
    for job in jobs:
        if _path(folder, job) not in known:
            known[_path(folder, job)] = {(record["setting"], record["seed"]) for record in read_records(folder, job)}
    missing = [job for job in jobs if job.key not in known[_path(folder, job)]]
    if n_processes == 1:
        for job in missing:
            yield _kept(folder, job, _timed(job))
        return
    with one_thread_each(n_processes) as pool:
        futures = {pool.submit(_timed, job): job for job in missing}
        for future in as_completed(futures):
            yield _kept(folder, futures[future], future.result())
            futures.pop(future)


def read_records(folder: Path, job: Job) -> list[Record]:
    """Return all records of a job's table and method."""
    path = _path(folder, job)
    if not path.exists():
        return []
    records = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:  # the last line of a process that was killed
            continue
    return records


def _timed(job: Job) -> tuple[Record, float]:
    began = time.perf_counter()
    record = run_job(job)
    return record, time.perf_counter() - began


def _kept(folder: Path, job: Job, outcome: tuple[Record, float]) -> tuple[Job, float]:
    record, seconds = outcome
    path = _path(folder, job)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + json.dumps(record, separators=(",", ":")))  # a torn line before stays alone
    return job, seconds


def _path(folder: Path, job: Job) -> Path:
    """Runs with other workers, horizon or limit lie elsewhere."""
    place = f"w{job.n_workers}-c{job.horizon}-t{job.max_trials}"
    return folder / "runs" / place / job.table.replace(":", "_") / f"{job.method}.jsonl"


@lru_cache(maxsize=2)
def _table(data: Path, name: str) -> Table:
    return read_table(data, name)


def _on_grid(calls: Sequence[int], verdicts: Sequence[Verdict | None], points: Sequence[int]) -> list[Verdict | None]:
    """Return the answer at each point; after the end the last one stays."""
    places = np.searchsorted(calls, points, side="right")
    return [verdicts[place - 1] if place else None for place in places.tolist()]


def _judged(world: World, verdicts: Sequence[Verdict | None]) -> Record:
    """Compare answers with the truth: at every point the regret, at the end and on average how honest they were."""
    blind = world.blind_regret()
    given = [verdict for verdict in verdicts if verdict is not None]
    return {
        "regret": [round(blind if v is None else world.regret(v.row), 6) for v in verdicts],
        "claims": [_claim(world, verdict) for verdict in verdicts],
        "final": _honesty(world, given[-1:]),
        "anytime": _honesty(world, given),
    }


def _claim(world: World, verdict: Verdict | None) -> tuple[float, bool] | None:
    """Return by how much too much is reported, and whether the interval holds the truth."""
    if verdict is None:
        return None
    truth = float(world.true_mean[verdict.row])
    is_held = verdict.low - COVERAGE_SLACK <= truth <= verdict.high + COVERAGE_SLACK
    return (round(verdict.reported - truth, 6), is_held)


def _honesty(world: World, verdicts: Sequence[Verdict]) -> Record:
    if not verdicts:
        return {"n": 0}
    top = int(world.true_mean.argmax())
    peers = {int(row) for row in np.flatnonzero(world.true_mean >= world.true_mean[top])}
    claims = [claim for verdict in verdicts if (claim := _claim(world, verdict)) is not None]
    tied = [bool(peers & v.tied) for v in verdicts if v.tied is not None]
    return {
        "n": len(verdicts),
        "reported_minus_true": float(np.mean([off for off, _ in claims])),
        "covered": float(np.mean([is_held for _, is_held in claims])),
        "tied": float(np.mean(tied)) if tied else None,
        "n_tied": float(np.mean([len(v.tied) for v in verdicts if v.tied is not None])) if tied else None,
    }


def _step(world: World, step: Step) -> Record:
    honesty = _honesty(world, [step.verdict])
    return {"setting": step.setting, "calls": step.calls, "regret": round(world.regret(step.verdict.row), 6)} | honesty
