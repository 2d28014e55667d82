"""Asynchronous workers against a recorded world: what a method recommends after so many calls."""

import heapq
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from benchmarks.worlds import World

LATENCY_SPREAD = 0.5
"""Standard deviation of the logarithm of a call's latency."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """A decision: draw these items of one row."""

    row: int
    items: Sequence[int]
    repeat: int = 0
    tag: int = 0
    """For the method's own book-keeping; comes back with each result."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """One finished call."""

    row: int
    item: int
    repeat: int
    tag: int
    score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What a method answers when asked."""

    row: int
    reported: float
    """The score that it claims for the row."""
    low: float
    high: float
    """A 90 % interval of that score."""
    tied: frozenset[int] | None = None
    """All rows that it cannot tell from the best, that one included; None: it does not say."""


class Method(Protocol):
    """A search over the rows of a world, of which it knows the shape alone."""

    def ask(self) -> Work | None:
        """Return the next work; None: nothing until more is told, or nothing at all."""
        ...

    def tell(self, result: Result) -> None:
        """Learn from one finished call."""
        ...

    def recommend(self) -> Verdict | None:
        """Return the answer so far, or None before there is one."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """What a method said after so many calls. All sequences have one entry a checkpoint reached."""

    calls: tuple[int, ...]
    verdicts: tuple[Verdict | None, ...]
    cpu_s: float
    """Spent in deciding and learning, without the questions at checkpoints."""
    n_calls: int
    """Made in all: the method stopped there, or the horizon was reached."""
    is_stopped: bool
    """It ended by itself before the horizon."""


def checkpoints(horizon: int, ratio: float = 1.05, first: int = 8) -> tuple[int, ...]:
    """Return rising numbers of calls, each about `ratio` times the one before, ending at the horizon."""
    points = [min(first, horizon)]
    while points[-1] < horizon:
        points.append(min(horizon, max(points[-1] + 1, round(points[-1] * ratio))))
    return tuple(points)


def simulate(method: Method, world: World, *, n_workers: int, points: Sequence[int]) -> Trace:
    """Run a method with so many calls at once until it stops or the last of `points` is reached."""
    return _Run(method, world, n_workers, points).go()


class _Run:
    def __init__(self, method: Method, world: World, n_workers: int, points: Sequence[int]) -> None:
        self._method = method
        self._world = world
        self._n_workers = n_workers
        self._points = points
        self._rng = np.random.default_rng([world.seed, 31])
        self._latencies: deque[float] = deque()
        self._queue: deque[tuple[int, int, int, int]] = deque()
        self._flying: list[tuple[float, int, tuple[int, int, int, int]]] = []
        self._now_s = 0.0
        self._n_sent = 0
        self._cpu_s = 0.0

    def go(self) -> Trace:
        horizon = self._points[-1]
        reached: list[int] = []
        verdicts: list[Verdict | None] = []
        n_told = 0
        while True:
            self._send(horizon)
            if not self._flying:
                break
            self._now_s, _, call = heapq.heappop(self._flying)
            self._tell(call)
            n_told += 1
            if n_told == self._points[len(reached)]:
                reached.append(n_told)
                verdicts.append(self._method.recommend())
        if n_told and (not reached or reached[-1] < n_told):
            reached.append(n_told)
            verdicts.append(self._method.recommend())
        return Trace(
            calls=tuple(reached),
            verdicts=tuple(verdicts),
            cpu_s=self._cpu_s + float(getattr(self._method, "cpu_elsewhere_s", 0.0)),
            n_calls=n_told,
            is_stopped=n_told < horizon,
        )

    def _send(self, horizon: int) -> None:
        while len(self._flying) < self._n_workers and self._n_sent < horizon:
            if not self._queue and not self._ask():
                return
            heapq.heappush(self._flying, (self._now_s + self._latency_s(), self._n_sent, self._queue.popleft()))
            self._n_sent += 1

    def _ask(self) -> bool:
        began = time.process_time()
        work = self._method.ask()
        self._cpu_s += time.process_time() - began
        if work is None:
            return False
        self._queue.extend((work.row, int(item), work.repeat, work.tag) for item in work.items)
        return bool(self._queue)

    def _tell(self, call: tuple[int, int, int, int]) -> None:
        row, item, repeat, tag = call
        score = float(self._world.outcomes[repeat, row, item])
        result = Result(row=row, item=item, repeat=repeat, tag=tag, score=score)
        began = time.process_time()
        self._method.tell(result)
        self._cpu_s += time.process_time() - began

    def _latency_s(self) -> float:
        if not self._latencies:
            self._latencies.extend(self._rng.lognormal(0.0, LATENCY_SPREAD, size=4096).tolist())
        return self._latencies.popleft()
