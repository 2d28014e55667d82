"""Throughput of the whole cluster beside its peers, in one run: `python -m benchmarks.cluster`.

Every method makes the same calls to the same server on this machine. CPU is that of all processes of a method, Redis
and PostgreSQL included, without the server; it says more than the rate on a machine that does other things too.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cluster_peers import celery_app, study_in
from tests.cluster_runs import Cluster, cluster, wait_for_workers
from tests.postgres import PostgresServer, postgres_server
from tests.redis_server import redis_server
from tests.study_runs import wait_until

TARGET_PER_S = 1_500.0
TARGET_CPU = 2.0
TARGET_PEERS = 3.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """One method, measured."""

    method: str
    n_calls: int
    wall_s: float
    cpu_s: float

    @property
    def per_s(self) -> float:
        """Calls a second."""
        return self.n_calls / self.wall_s

    @property
    def cpu_ms(self) -> float:
        """CPU milliseconds a call."""
        return 1000.0 * self.cpu_s / self.n_calls


class DelayServer:
    """The server that all call."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/call"
        self._count = f"http://127.0.0.1:{port}/count"

    def n_answers(self) -> int:
        """Count what it answered so far."""
        with urllib.request.urlopen(self._count, timeout=10) as answer:  # noqa: S310 - our own server
            return int(answer.read())


@contextmanager
def delay_server(latency_ms: float) -> Iterator[DelayServer]:
    """Run the server until the block ends."""
    command = [sys.executable, "-m", "benchmarks.delay_server", "--latency-ms", str(latency_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield DelayServer(int(process.stdout.readline()))
        finally:
            process.stdin.close()


def cpu_of(pids: Sequence[int]) -> float:
    """Return the CPU seconds that processes and all their descendants have used so far."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
        used[int(folder.name)] = sum(map(int, fields[11:15])) / _TICKS
    total, todo = 0.0, list(pids)
    while todo:
        pid = todo.pop()
        total += used.get(pid, 0.0)
        todo += children.get(pid, [])
    return total


def run_processes(
    method: str, server: DelayServer, n_calls: int, commands: Sequence[Sequence[str]], others: Sequence[int] = ()
) -> Rate:
    """Time processes from their first answer to nearly the last; what it takes to start and to end is left out."""
    processes = [subprocess.Popen([sys.executable, "-m", "benchmarks.cluster_peers", *words]) for words in commands]
    n_before = server.n_answers()
    try:
        wait_until(lambda: server.n_answers() > n_before, timeout_s=60.0)
        pids = [*(process.pid for process in processes), *others]
        began_s, cpu_s, n_began = time.monotonic(), cpu_of(pids), server.n_answers()
        n_done = n_began
        while n_done - n_before < 0.95 * n_calls and time.monotonic() - began_s < 120.0:
            time.sleep(0.02)
            n_done = server.n_answers()
        wall_s, used_s = time.monotonic() - began_s, cpu_of(pids) - cpu_s
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return Rate(method=method, n_calls=n_done - n_began, wall_s=wall_s, cpu_s=used_s)


def study_of(server: DelayServer, *, n_calls: int, n_at_once: int, algorithm: str) -> dict[str, object]:
    """Return a study that makes so many calls."""
    return {
        "api": {
            "name": f"throughput-{algorithm}",
            "provider": "http",
            "endpoint": server.url,
            "auth": {"type": "none"},
            "cache": False,
            "request": {"method": "POST", "body": {"x": "{{ params.x }}", "case": "{{ case.n }}"}},
            "response": {"result_field": "result"},
            "prices": {"per_call_usd": 0},
        },
        "search_space": {"parameters": {"x": {"type": "discrete", "values": list(range(400))}}},
        "evaluation": {
            "test_cases": [{"input": {"n": n}, "expected": 1} for n in range(50)],
            "metrics": {"quality": {"weight": 1.0, "function": "exact"}},
        },
        "optimization": {
            "algorithm": algorithm,
            "execution": {"parallel_workers": n_at_once, "early_stopping": {"enabled": False}},
            "seed": 1,
        },
        "budget": {"calls": n_calls},
        "legacy": {"enabled": False},
        "output": {"save_answers": False},
    }


def ours(
    server: DelayServer, *, n_calls: int, n_at_once: int, algorithm: str, n_workers: int, postgres: PostgresServer
) -> Rate:
    """Time the whole cluster: coordinator, workers, Redis and PostgreSQL."""
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster(Path(folder), database_url=postgres.new_database()) as started,
    ):
        quiet = {"CONVERGENCE_LEASE_S": "30", "CONVERGENCE_LOG_LEVEL": "warning"}
        started.folder = started.folder.with_variables(quiet)
        started.coordinator()
        for _ in range(n_workers):
            started.worker(concurrency=n_at_once)
        wait_for_workers(started, n_workers)
        pids = [process.pid for process in started.processes] + [started.broker.pid, postgres.pid]
        study = study_of(server, n_calls=n_calls, n_at_once=n_at_once, algorithm=algorithm)
        n_before = server.n_answers()
        submitted = started.submit(study)
        wait_until(lambda: server.n_answers() > n_before + n_at_once, timeout_s=60.0)
        began_s, cpu_s, n_began = time.monotonic(), cpu_of(pids), server.n_answers()
        n_done = n_began
        while n_done - n_before < 0.95 * n_calls and time.monotonic() - began_s < 120.0:
            time.sleep(0.02)
            n_done = server.n_answers()
        wall_s, used_s = time.monotonic() - began_s, cpu_of(pids) - cpu_s
        shares = {name: round(cpu_of([pid]), 1) for name, pid in _named(started, postgres).items()}
        print(f"<!-- {algorithm}: CPU s of each process since its start: {json.dumps(shares)} -->", flush=True)
        started.finish(submitted, timeout_s=120.0)
    return Rate(method=f"ours, {algorithm}", n_calls=n_done - n_began, wall_s=wall_s, cpu_s=used_s)


def _named(started: Cluster, postgres: PostgresServer) -> dict[str, int]:
    coordinator, *workers = started.processes
    named = {f"worker {n}": process.pid for n, process in enumerate(workers)}
    return {"coordinator": coordinator.pid, **named, "redis": started.broker.pid, "postgresql": postgres.pid}


def raw_celery(server: DelayServer, *, n_calls: int, n_at_once: int, n_workers: int) -> Rate:
    """Time Celery with one task a call, queued beforehand."""
    with redis_server() as broker:
        app = celery_app(broker.url)
        with app.producer_pool.acquire(block=True) as producer, producer.batch():
            for number in range(n_calls):
                app.send_task("peer.call", args=(server.url, number), producer=producer)
        words = ["celery", server.url, str(n_calls), str(n_at_once // n_workers), broker.url]
        return run_processes("Celery, a task a call", server, n_calls, [words] * n_workers, [broker.pid])


def measure(latency_ms: float, n_calls: int, n_at_once: int, n_workers: int, methods: Sequence[str]) -> list[Rate]:
    """Measure every method against one server."""
    rates = []
    with ExitStack() as stack:
        server = stack.enter_context(delay_server(latency_ms))
        postgres = stack.enter_context(postgres_server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        calls, at_once, half = str(n_calls), str(n_at_once), str(n_at_once // 2)
        if "bare" in methods:
            rates.append(run_processes("bare client", server, n_calls, [["bare", server.url, calls, at_once]]))
        size = {"n_calls": n_calls, "n_at_once": n_at_once, "n_workers": n_workers}
        algorithms = [algorithm for algorithm in ("random", "mab_evolution") if algorithm in methods]
        rates += [ours(server, algorithm=algorithm, postgres=postgres, **size) for algorithm in algorithms]
        if "celery" in methods:
            rates.append(raw_celery(server, **size))
        few = str(max(200, n_calls // 10))
        if "optuna" in methods:
            words = ["optuna", server.url, few, at_once]
            rates.append(run_processes("Optuna, n_jobs", server, int(few), [words]))
            for name, storage, others in (
                (
                    "RDB (PostgreSQL)",
                    postgres.new_database().replace("postgresql:", "postgresql+psycopg:"),
                    [postgres.pid],
                ),
                ("journal file", f"journal:{folder}/journal.log", []),
            ):
                study_in(storage)  # two processes that create its tables at once get in each other's way
                each = ["optuna", server.url, str(int(few) // n_workers), half, storage]
                label = f"Optuna, {n_workers} processes, {name}"
                rates.append(run_processes(label, server, int(few), [each] * n_workers, others))
    return rates


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--at-once", type=int, default=128)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[50.0, 1000.0])
    parser.add_argument("--methods", default="bare,random,mab_evolution,celery,optuna")
    options = parser.parse_args()
    for latency_ms in options.latency_ms:
        n_calls = options.calls if latency_ms < 200.0 else options.calls // 10
        rates = measure(latency_ms, n_calls, options.at_once, options.workers, options.methods.split(","))
        floor = rates[0]
        print(f"\n{latency_ms:.0f} ms server, {options.at_once} calls at once, {options.workers} worker processes\n")
        print("| method | calls | calls/s | CPU ms a call | CPU over the bare client's | rate over it |")
        print("|---|---|---|---|---|---|")
        for rate in rates:
            print(
                f"| {rate.method} | {rate.n_calls:,} | {rate.per_s:,.0f} | {rate.cpu_ms:.2f} "
                f"| {rate.cpu_ms / floor.cpu_ms:.2f} | {rate.per_s / floor.per_s:.2f} |"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
