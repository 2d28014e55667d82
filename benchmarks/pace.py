"""Pace of a whole study against a 50 ms server: `python -m benchmarks.pace`.

The study runs in this process, the server in another, on this machine: what is measured includes the search, the
database and the HTTP client, and a server that takes its own share of the cores.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from convergence_cluster.api import Progress, StudyResult, optimize
from convergence_cluster.sandbox.landscapes import landscape
from convergence_cluster.sandbox.questions import as_test_cases
from tests.study_runs import Server, serving_llm

LATENCY_MS = 50.0
TARGET_WALL = 1.2
TARGET_LATENCY = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """One study, timed."""

    n_workers: int
    n_calls: int
    wall_s: float
    """From the first decision to the last write."""
    in_flight_max: int
    latency_ratio: float
    """Median over calls of recorded latency to the server's own."""
    latency_ratio_p95: float
    cpu_ms: float
    """Of this process, for each call."""

    @property
    def ideal_s(self) -> float:
        """What the calls take with every worker busy all the time."""
        return self.n_calls * LATENCY_MS / 1000.0 / self.n_workers

    @property
    def wall_ratio(self) -> float:
        """Wall time over the ideal."""
        return self.wall_s / self.ideal_s


def measure(n_workers: int, n_calls: int) -> Pace:
    """Run a study of the quickstart's landscape in a folder of its own."""
    folder = Path(tempfile.mkdtemp())
    before = Path.cwd()
    try:
        with serving_llm("--landscape", "quickstart", "--latency-ms", f"{LATENCY_MS:g}", "--seed", "7") as server:
            os.chdir(folder)
            path = folder / "study.yaml"
            path.write_text(yaml.safe_dump(_study(server, n_workers, n_calls), sort_keys=False))
            return _timed(path, server, n_workers)
    finally:
        os.chdir(before)
        shutil.rmtree(folder)


def _timed(path: Path, server: Server, n_workers: int) -> Pace:
    seen: list[Progress] = []
    began_cpu_s = time.process_time()
    result = optimize(path, on_progress=seen.append, writes_files=False)
    cpu_s = time.process_time() - began_cpu_s
    books = server.books()
    ratios = sorted(_ratios(result, books["server_ms"]))
    return Pace(
        n_workers=n_workers,
        n_calls=result.n_calls,
        wall_s=seen[-1].elapsed_s,
        in_flight_max=books["in_flight_max"],
        latency_ratio=statistics.median(ratios),
        latency_ratio_p95=ratios[int(0.95 * len(ratios))],
        cpu_ms=1000.0 * cpu_s / result.n_calls,
    )


def _ratios(result: StudyResult, server_ms: dict[str, list[float]]) -> list[float]:
    ratios = []
    for scored in result.report.calls:
        outcome = scored.outcome
        call = outcome.call
        own_ms = server_ms[f"{call.study}:{call.arm}:{call.case}:{call.repeat}"][-1]
        if outcome.latency_s is not None:
            ratios.append(1000.0 * outcome.latency_s / own_ms)
    return ratios


def _study(server: Server, n_workers: int, n_calls: int) -> dict[str, Any]:
    found = landscape("quickstart")
    conditions = {name: {k: list(v) for k, v in when.items()} for name, when in found.conditions.items()}
    styles = {"system_prompt"}
    parameters = {
        name: {"values": list(values), "when": conditions[name]} if name in conditions else list(values)
        for name, values in found.parameters().items()
        if name not in styles
    }
    return {
        "api": {
            "name": "pace",
            "provider": "openai",
            "endpoint": server.endpoint,
            "auth": {"type": "none"},
            "prices": server.ready["prices"],
        },
        "search_space": {"parameters": parameters},
        "evaluation": {
            "test_cases": as_test_cases(found.questions),
            "metrics": {
                "quality": {"weight": 0.8, "type": "higher_is_better", "function": "contains"},
                "cost_usd": {"weight": 0.2, "type": "lower_is_better", "budget_per_call": 0.001},
            },
        },
        "optimization": {
            "execution": {"parallel_workers": n_workers, "early_stopping": {"enabled": False}},
            "seed": 7,
        },
        "budget": {"calls": n_calls, "usd": 1000.0},
        "legacy": {"enabled": False},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[5, 100])
    parser.add_argument("--seconds", type=float, default=5.0, help="of ideal wall time for each row")
    options = parser.parse_args(arguments)
    print("| workers | calls | in flight at most | wall s | x ideal | latency / server's | p95 | CPU ms a call |")
    print("|---|---|---|---|---|---|---|---|")
    for n_workers in options.workers:
        pace = measure(n_workers, int(options.seconds * 1000.0 / LATENCY_MS * n_workers))
        print(
            f"| {n_workers} | {pace.n_calls} | {pace.in_flight_max} | {pace.wall_s:.2f} | {pace.wall_ratio:.3f} "
            f"| {pace.latency_ratio:.3f} | {pace.latency_ratio_p95:.3f} | {pace.cpu_ms:.2f} |",
            flush=True,
        )
    print(f"targets: {TARGET_WALL:g} x ideal, in flight exactly the workers, latency within {TARGET_LATENCY:.0%}")


if __name__ == "__main__":
    main()
