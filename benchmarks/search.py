"""Compares searches on recorded tables: `python -m benchmarks.search --data DIR --out DIR`."""

import argparse
import datetime as dt
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bounds import calls_for_last_choice, calls_needed
from benchmarks.pages import comparison_page, draw_curves, table_page
from benchmarks.registry import Entry, entries
from benchmarks.runs import Job, read_records, run_all
from benchmarks.simulation import checkpoints
from benchmarks.summaries import Summary, summarize_budgets, summarize_curves
from benchmarks.tables import read_table, table_names

REPORT_EVERY_S = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, then write `results.json`, `results.md` and one chart a table into `--out`."""
    options = _options(arguments)
    known = entries()
    tables = options.tables.split(",") if options.tables else table_names(options.data)
    methods = options.methods.split(",") if options.methods else list(known)
    unknown = [method for method in methods if method not in known]
    if unknown:
        print(f"unknown methods {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    for method in methods:
        if known[method].missing:
            print(f"{method}: skipped, {known[method].missing}", flush=True)
    runnable = [method for method in methods if not known[method].missing]
    jobs = [job for table in tables for method in runnable for job in _jobs(options, table, method, known[method])]
    _run(jobs, options)
    _write(options, tables, runnable, known)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder of recorded tables")
    parser.add_argument("--tables", help="names, separated by commas; default: all")
    parser.add_argument("--methods", help="names, separated by commas; default: all")
    parser.add_argument("--seeds", type=int, default=20, help="random worlds per table")
    parser.add_argument("--heavy-seeds", type=int, default=20, help="the most worlds for the slow samplers")
    parser.add_argument("--workers", type=int, default=32, help="calls that run at once")
    parser.add_argument("--max-calls", type=int, default=50_000, help="the horizon; a full sweep ends it earlier")
    parser.add_argument("--max-trials", type=int, default=500, help="trials of the slow samplers, calls of SMAC")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--out", type=Path, required=True, help="where runs are kept and results written")
    return parser.parse_args(arguments)


def _jobs(options: argparse.Namespace, name: str, method: str, entry: Entry) -> list[Job]:
    n_seeds = min(options.seeds, options.heavy_seeds) if entry.is_heavy else options.seeds
    horizon = _horizon(options, name)
    return [
        Job(
            data=options.data,
            table=name,
            method=method,
            setting=setting,
            seed=seed,
            n_workers=options.workers,
            horizon=horizon,
            max_trials=options.max_trials,
        )
        for setting in (entry.builds or [""])
        for seed in range(n_seeds)
    ]


def _horizon(options: argparse.Namespace, name: str) -> int:
    table = read_table(options.data, name)
    return min(int(options.max_calls), table.score.size * table.n_repeats)


def _run(jobs: Sequence[Job], options: argparse.Namespace) -> None:
    began = reported = time.monotonic()
    for n_done, (job, seconds) in enumerate(run_all(jobs, options.out, options.jobs), start=1):
        if time.monotonic() - reported > REPORT_EVERY_S:
            reported = time.monotonic()
            print(
                f"{reported - began:6.0f} s: {n_done} runs, last {job.table} {job.method} {seconds:.1f} s", flush=True
            )


def _write(
    options: argparse.Namespace, tables: Sequence[str], methods: Sequence[str], known: Mapping[str, Entry]
) -> None:
    pages: list[str] = []
    summaries: list[Summary] = []
    bounds: dict[str, dict[str, float]] = {}
    horizon = 0
    for name in tables:
        found = [s for method in methods if (s := _summary(options, name, method, known[method])) is not None]
        table = read_table(options.data, name)
        bounds[name] = {
            "1pct": calls_needed(table, 0.01),
            "2pct": calls_needed(table, 0.02),
            "1pct_last_choice": calls_for_last_choice(table, 0.01),
        }
        curves = {summary["method"]: summary.pop("curve") for summary in found}
        draw_curves(options.out / f"{name.replace(':', '_')}.svg", name, curves, "mean regret, relative to the best")
        pages.append(table_page(name, bounds[name], found))
        summaries += found
        horizon = max(horizon, _horizon(options, name))
    pages.append(comparison_page(summaries, horizon))
    text = "\n".join([f"`python -m benchmarks.search {' '.join(sys.argv[1:])}`", "", _machine(), "", *pages])
    (options.out / "results.md").write_text(text, encoding="utf-8")
    document = {"machine": _machine(), "options": _plain(options), "lower_bounds": bounds, "summary": summaries}
    (options.out / "results.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(text)


def _summary(options: argparse.Namespace, name: str, method: str, entry: Entry) -> Summary | None:
    jobs = _jobs(options, name, method, entry)
    wanted = {job.key for job in jobs}
    records = [r for r in read_records(options.out, jobs[0]) if (r["setting"], r["seed"]) in wanted]
    if not records:
        return None
    points = checkpoints(jobs[0].horizon)
    if entry.kind == "budgets":
        summary = summarize_budgets(records, is_tuned=method != "sequential")
    else:
        summary = summarize_curves(records, points)
    return {"table": name, "method": method} | summary


def _plain(options: argparse.Namespace) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}


def _machine() -> str:
    date = dt.datetime.now(tz=dt.UTC).date().isoformat()
    return f"{date}, {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
