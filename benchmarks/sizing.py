"""What a cluster's processes cost for each call: `python -m benchmarks.sizing`.

One coordinator, one worker of 64 slots and Redis on this machine, against a server that answers after a fixed time.
CPU a call is the figure to plan with: the rate depends on what else the machine does.
"""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.cluster_runs import Cluster, cluster, wait_for_workers
from tests.study_runs import Server, predecessor_study, serving_llm

SLOTS = 64
_POLL_S = 1.0
"""Rarely: looking reads the whole study."""
_TICKS_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a process took."""

    name: str
    cpu_ms: float
    """For each call."""
    peak_mb: float
    """Most memory it had resident."""


def measure(latency_ms: float, n_calls: int) -> tuple[int, float, list[Cost]]:
    """Run a study on a cluster; return its calls, its calls a second and what each process took."""
    with (
        serving_llm("--landscape", "predecessor", "--latency-ms", str(latency_ms), "--seed", "1") as server,
        tempfile.TemporaryDirectory() as folder,
        cluster(Path(folder)) as running,
    ):
        processes = {
            "coordinator": running.coordinator().pid,
            f"worker of {SLOTS} slots": running.worker(concurrency=SLOTS).pid,
            "Redis": running.broker.pid,
        }
        wait_for_workers(running, 1)
        before = {name: _cpu_s(pid) for name, pid in processes.items()}
        began_s = time.monotonic()
        n_done = _run(running, server, n_calls)
        wall_s = time.monotonic() - began_s
        costs = [
            Cost(name=name, cpu_ms=1e3 * (_cpu_s(pid) - before[name]) / n_done, peak_mb=_peak_mb(pid))
            for name, pid in processes.items()
        ]
    return n_done, n_done / wall_s, costs


def _run(running: Cluster, server: Server, n_calls: int) -> int:
    study = predecessor_study(server, parallel_workers=SLOTS) | {"budget": {"calls": n_calls}}
    name = running.submit(study, "--no-cache")
    while running.state(name) in {"queued", "running"}:
        time.sleep(_POLL_S)
    return running.n_calls(name)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_S


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[1000.0, 50.0])
    options = parser.parse_args()
    for latency_ms in options.latency_ms:
        n_calls, rate, costs = measure(latency_ms, options.calls)
        load = f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
        sys.stdout.write(f"{n_calls} calls of {latency_ms:g} ms, {SLOTS} slots: {rate:.0f} calls/s ({load})\n")
        for cost in costs:
            sys.stdout.write(f"  {cost.name:20} {cost.cpu_ms:6.2f} ms CPU a call, {cost.peak_mb:5.0f} MB at most\n")


if __name__ == "__main__":
    main()
