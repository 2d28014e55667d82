"""What the coordinator itself costs: CPU per call at 1,000, 10,000 and 100,000 calls, in one growing study.

The real coordinator, search, budget and SQLite journal; only the API is replaced by a function that answers at once.
Counted is the processor time of the coordinator's thread, decisions, durable writes and learning included.

    python -m benchmarks.coordinator [--calls 100000] [--parallelism 64]
"""

import argparse
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.coordinator.observing import Observer
from convergence_cluster.coordinator.ordering import AsTheyCome
from convergence_cluster.coordinator.rounds import drive
from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.identity import Configuration, StudyId
from convergence_cluster.domain.search import Direction, Objective, SearchProblem, Stopping
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.evaluators.scoring import Utility, score
from convergence_cluster.metering.budget import Budget
from convergence_cluster.optimizers.racing import RacingSearch
from convergence_cluster.storage.database import open_database
from convergence_cluster.storage.journal import StudyJournal
from convergence_cluster.storage.leases import Leases
from convergence_cluster.storage.studies import Studies

MARKS = (1_000, 10_000, 100_000)
N_CASES = 200
_MODELS = ("a", "b", "c", "d", "e", "f")
_UTILITIES = (
    Utility(name="quality", weight=0.7, direction=Direction.MAXIMIZE),
    Utility(name="cost_usd", weight=0.3, direction=Direction.MINIMIZE, scale=0.01),
)
SPACE = SearchSpace(
    parameters=(
        Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=_MODELS),
        Parameter(name="prompt", kind=ParameterKind.CATEGORICAL, values=tuple(f"p{i}" for i in range(10))),
        Parameter(name="temperature", kind=ParameterKind.CONTINUOUS, low=0.0, high=1.0),
        Parameter(name="top_p", kind=ParameterKind.CONTINUOUS, low=0.1, high=1.0),
        Parameter(name="max_tokens", kind=ParameterKind.INTEGER, low=16, high=4096, log=True, step=1),
    )
)


class _Objectives:
    def unscaled(self) -> Sequence[str]:
        return ()

    def calibrate(self, scales: object) -> None:
        del scales

    def score(self, metrics: Mapping[str, float]) -> float:
        return score(metrics, _UTILITIES)


class _InstantExecutor:
    """Answers a quarter of what is queued at each `collect`, so that batches have a realistic size."""

    def __init__(self) -> None:
        self._queue: deque[Call] = deque()
        self._rng = np.random.default_rng(0)
        self.n_answered = 0

    def submit(self, calls: Sequence[Call]) -> None:
        self._queue.extend(calls)

    def collect(self, timeout_s: float) -> Sequence[CallOutcome]:
        del timeout_s
        n = max(1, len(self._queue) // 4)
        self.n_answered += n
        return [self._answer(self._queue.popleft()) for _ in range(n)]

    def _answer(self, call: Call) -> CallOutcome:
        quality = float(self._rng.random() < _quality(call.configuration))
        metrics = {"quality": quality, "cost_usd": 0.002}
        return CallOutcome(
            call=call, kind=OutcomeKind.OK, metrics=metrics, cost_usd=0.002, latency_s=0.05, n_attempts=1
        )

    def cancel(self) -> None:
        self._queue.clear()

    def close(self) -> None:
        return


def _quality(configuration: Configuration) -> float:
    model = 0.4 + 0.08 * _MODELS.index(configuration["model"])
    return float(model - 0.3 * (configuration["temperature"] - 0.3) ** 2 + 0.01 * int(configuration["prompt"][1:]))


def measure(n_calls: int, parallelism: int, folder: Path) -> list[tuple[int, float, float]]:
    """Run one study of `n_calls`; return (calls so far, CPU ms per call of the last stretch, arms) at each mark."""
    clock = SystemClock()
    database = open_database(f"sqlite:///{folder / 'bench.db'}")
    record = Studies(database).create(name="bench", digest="-", spec_json="{}", now_s=clock.now_s())
    token = Leases(database).claim(record.id, "bench", ttl_s=3600, now_s=clock.now_s())
    objective = Objective(name="quality", direction=Direction.MAXIMIZE)
    problem = SearchProblem(
        space=SPACE, n_cases=N_CASES, objectives=(objective,), max_calls=n_calls, parallelism=parallelism,
        stopping=Stopping(enabled=False),
    )  # fmt: skip
    executor = _InstantExecutor()
    stretches: list[tuple[int, float, float]] = []
    began = [0, time.thread_time()]

    def note(coordinator: Coordinator) -> None:
        n = coordinator.accounts.n_calls
        if any(began[0] < mark <= n for mark in MARKS):
            spent = time.thread_time() - began[1]
            arms = coordinator.optimizer.recommend().n_arms
            stretches.append((n, 1000 * spent / (n - began[0]), arms))
            began[:] = [n, time.thread_time()]

    coordinator = Coordinator(
        study=StudyId(record.id), optimizer=RacingSearch(problem), executor=executor,
        journal=StudyJournal(database, study=record.id, token=token), observer=Observer(_Objectives(), (objective,)),
        order=AsTheyCome(), budget=Budget(clock=clock, calls=n_calls), bound_usd=lambda _configuration, _case: 0.0,
        clock=clock, parallelism=parallelism, on_absorbed=note,
    )  # fmt: skip
    drive(coordinator.rounds(), executor.collect)
    database.close()
    return stretches


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--parallelism", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stretches = measure(options.calls, options.parallelism, Path(folder))
    print("| calls so far | arms | coordinator CPU per call of this stretch |\n|---|---|---|")
    for n, cpu_ms, arms in stretches:
        print(f"| {n:,} | {arms:,} | {cpu_ms:.3f} ms |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
