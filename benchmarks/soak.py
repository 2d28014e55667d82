"""The coordinator of a cluster under load: `python -m benchmarks.soak`.

Real coordinator, Redis and PostgreSQL; stand-ins for workers answer at once, so that the coordinator is what limits.
First: how fast results that lie in the stream become rows. Then: its memory while studies of 2,000 calls come and go.
"""

import argparse
import base64
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from benchmarks.cluster import cpu_of
from convergence_cluster.dispatch.celery_app import ARGUMENT, list_names
from convergence_cluster.dispatch.connections import Names, connect
from convergence_cluster.dispatch.wire import Report, Task, decode_task
from convergence_cluster.dispatch.worker_board import WorkerBoard
from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from tests.cluster_runs import Cluster, cluster
from tests.postgres import postgres_server
from tests.study_runs import wait_until

QUEUE = "trials"
TARGET_PER_S = 5_000.0
_AT_ONCE = 4
_MOST_AT_ONCE = 10_000
"""What one study may have in flight."""
_N_CASES_AHEAD = 200
"""Of a study that has all its calls in flight at once: 64 configurations at most are opened before any has a score."""
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 1e6


def study_of(name: str, *, n_calls: int, n_at_once: int, n_cases: int = 50) -> dict[str, Any]:
    """Return a study whose calls nobody really makes; random search, so that the search costs least."""
    return {
        "api": {"name": name, "provider": "http", "endpoint": "http://127.0.0.1:9/", "auth": {"type": "none"}}
        | {"request": {"body": {"x": "{{ params.x }}"}}, "prices": {"per_call_usd": 0.001}, "cache": False},
        "search_space": {"parameters": {"x": {"type": "discrete", "values": list(range(400))}}},
        "evaluation": {
            "test_cases": [{"input": {"n": n}, "expected": 1} for n in range(n_cases)],
            "metrics": {"quality": {"weight": 1.0, "function": "exact"}},
        },
        "optimization": {
            "algorithm": "random",
            "execution": {"parallel_workers": n_at_once, "early_stopping": {"enabled": False}},
        },
        "budget": {"calls": n_calls},
        "legacy": {"enabled": False},
    }


def answer(call: Call) -> CallOutcome:
    """Return what a worker would report."""
    quality = ((call.arm * 37 + call.case * 11) % 17) / 17
    return CallOutcome(
        call=replace(call, configuration={}),
        kind=OutcomeKind.OK,
        metrics={"quality": quality},
        latency_s=0.05,
        cost_usd=0.001,
        price_source="study",
        n_attempts=1,
        answer="1",
        finished_at_s=time.time(),
    )


class StandIn:
    """Takes tasks from the queue as a worker does."""

    def __init__(self, broker_url: str, *, n_slots: int) -> None:
        self._redis = connect(broker_url)
        self.board = WorkerBoard(self._redis, Names(queue=QUEUE), lease_s=600.0)
        self.board.beat("stand-in", n_slots=n_slots)

    def take(self, timeout_s: float) -> list[Task]:
        """Return up to 100 tasks, claimed."""
        first: Any = self._redis.brpop(list_names(QUEUE), timeout=timeout_s)
        if first is None:
            return []
        more: Any = self._redis.rpop(QUEUE + "--p3", 99) or []
        tasks = [decode_task(_arguments(text)) for text in (first[1], *more)]
        return [task for task in tasks if self.board.claim(task, f"stand-in:{task.id}") == "claimed"]


def _arguments(text: bytes) -> object:
    message: Mapping[str, Any] = json.loads(text)
    return json.loads(base64.b64decode(message["body"]))[1][ARGUMENT]


def _report(task: Task) -> Report:
    outcomes = tuple(map(answer, task.calls))
    return Report(
        task=task.id, attempt=task.attempt, study=task.study, worker="stand-in", outcomes=outcomes, is_done=True
    )


def serve(broker_url: str) -> None:
    """Answer every task at once, for ever."""
    worker = StandIn(broker_url, n_slots=2_000)
    while True:
        worker.board.beat("stand-in", n_slots=2_000)
        worker.board.report([_report(task) for task in worker.take(1.0)])


@contextmanager
def stand_in(broker_url: str) -> Iterator[BaseProcess]:
    """Run `serve` in a process of its own until the block ends."""
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(broker_url,), daemon=True)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def absorb(started: Cluster, n_calls: int) -> tuple[float, float]:
    """Return how many results a second became rows, and the coordinator's CPU ms for each."""
    worker = StandIn(started.broker.url, n_slots=n_calls)
    sizes = [min(_MOST_AT_ONCE, n_calls - n) for n in range(0, n_calls, _MOST_AT_ONCE)]
    studies = [
        started.submit(study_of(f"absorb-{n}", n_calls=size, n_at_once=size, n_cases=_N_CASES_AHEAD))
        for n, size in enumerate(sizes)
    ]
    tasks: list[Task] = []
    while sum(len(task.calls) for task in tasks) < n_calls:
        tasks += worker.take(5.0)
    reports = [_report(task) for task in tasks]
    coordinator = started.processes[0].pid
    began_s, cpu_s = time.monotonic(), cpu_of([coordinator])
    for n in range(0, len(reports), 100):
        worker.board.report(reports[n : n + 100])
    wait_until(lambda: started.client().xlen(f"convergence:{QUEUE}:results") == 0, timeout_s=120.0)
    wall_s, used_s = time.monotonic() - began_s, cpu_of([coordinator]) - cpu_s
    assert sum(map(started.n_calls, studies)) == n_calls
    return n_calls / wall_s, 1000.0 * used_s / n_calls


def soak(started: Cluster, n_studies: int, n_calls: int) -> list[tuple[int, float]]:
    """Let studies come and go; return (studies finished, coordinator's memory in MB) now and then."""
    marks = []
    process = started.processes[0].pid
    with stand_in(started.broker.url):
        began_s = time.monotonic()
        waiting: list[str] = []
        for n in range(n_studies + _AT_ONCE):
            if n < n_studies:
                waiting.append(started.submit(study_of(f"soak-{n}", n_calls=n_calls, n_at_once=64)))
            if n >= _AT_ONCE:
                started.finish(waiting.pop(0), timeout_s=300.0)
                n_finished = n - _AT_ONCE + 1
                if n_finished % max(1, n_studies // 10) == 0:
                    marks.append((n_finished, _memory_mb(process)))
        print(f"<!-- {n_studies * n_calls / (time.monotonic() - began_s):,.0f} calls/s in all -->")
    return marks


def _memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_MB


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--absorb", type=int, default=20_000, metavar="CALLS")
    parser.add_argument("--studies", type=int, default=100)
    parser.add_argument("--calls", type=int, default=2_000, help="of each study")
    options = parser.parse_args()
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        started = stack.enter_context(cluster(folder, database_url=postgres.new_database()))
        started.coordinator(CONVERGENCE_LEASE_S="600", CONVERGENCE_LOG_LEVEL="warning")
        per_s, cpu_ms = absorb(started, options.absorb)
        print(
            f"results absorbed: {per_s:,.0f}/s (aim {TARGET_PER_S:,.0f}), {cpu_ms:.3f} ms of the coordinator's CPU each"
        )
        if options.studies:
            print("\n| studies finished | coordinator's memory, MB |\n|---|---|")
            for n, megabytes in soak(started, options.studies, options.calls):
                print(f"| {n} | {megabytes:.0f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
