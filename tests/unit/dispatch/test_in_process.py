"""The embedded executor."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from convergence_cluster.dispatch.in_process import InProcessExecutor
from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import ArmId
from tests.fakes import STUDY, answer_ok

Run = Callable[[Call], Coroutine[Any, Any, CallOutcome]]


def _calls(n: int) -> list[Call]:
    return [Call(study=STUDY, arm=ArmId(i), case=0, repeat=0, configuration={}) for i in range(n)]


def _executor(run: Run, *, parallelism: int, closed: threading.Event | None = None) -> InProcessExecutor:
    async def open_runner() -> Run:
        return run

    async def close_runner() -> None:
        if closed:
            closed.set()

    return InProcessExecutor(open_runner=open_runner, close_runner=close_runner, parallelism=parallelism)


def _collect(executor: InProcessExecutor, n: int) -> list[CallOutcome]:
    outcomes: list[CallOutcome] = []
    deadline = time.monotonic() + 10
    while len(outcomes) < n and time.monotonic() < deadline:
        outcomes.extend(executor.collect(0.1))
    return outcomes


@pytest.mark.parametrize("parallelism", [1, 3, 8])
def test_exactly_as_many_calls_as_allowed_are_on_the_wire(parallelism: int) -> None:
    on_wire = 0
    seen: list[int] = []

    async def run(call: Call) -> CallOutcome:
        nonlocal on_wire
        on_wire += 1
        seen.append(on_wire)
        await asyncio.sleep(0.001)
        on_wire -= 1
        return answer_ok(call)

    executor = _executor(run, parallelism=parallelism)
    executor.submit(_calls(40))

    outcomes = _collect(executor, 40)
    executor.close()

    assert sorted(o.call.arm for o in outcomes) == list(range(40))
    assert max(seen) == parallelism


def test_cancelling_skips_what_waits_and_finishes_what_is_on_the_wire() -> None:
    release = threading.Event()

    async def run(call: Call) -> CallOutcome:
        while not release.is_set():
            await asyncio.sleep(0.001)
        return answer_ok(call)

    executor = _executor(run, parallelism=2)
    executor.submit(_calls(6))
    time.sleep(0.02)
    executor.cancel()
    skipped = _collect(executor, 4)
    release.set()
    finished = _collect(executor, 2)
    executor.close()

    assert [o.kind for o in skipped] == [OutcomeKind.SKIPPED] * 4
    assert [o.kind for o in finished] == [OutcomeKind.OK] * 2


def test_closing_abandons_what_is_on_the_wire_and_frees_the_runner() -> None:
    closed = threading.Event()

    async def run(call: Call) -> CallOutcome:
        await asyncio.sleep(60)
        return answer_ok(call)

    executor = _executor(run, parallelism=2, closed=closed)
    executor.submit(_calls(2))
    time.sleep(0.02)

    executor.close()
    executor.close()

    assert closed.is_set()


def test_a_fault_of_the_runner_reaches_who_collects() -> None:
    async def run(call: Call) -> CallOutcome:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    executor = _executor(run, parallelism=2)
    executor.submit(_calls(1))

    with pytest.raises(ConvergenceError, match="the call loop stopped"):
        _collect(executor, 1)
    executor.close()


def test_nothing_more_is_sent_once_the_provider_refuses_every_call() -> None:
    sent = []

    async def run(call: Call) -> CallOutcome:
        sent.append(call.arm)
        await asyncio.sleep(0)
        return CallOutcome(call=call, kind=OutcomeKind.FAILED, halts=True)

    executor = _executor(run, parallelism=2)
    executor.submit(_calls(40))

    outcomes = _collect(executor, 40)
    executor.close()

    assert len(sent) == 2
    assert sum(o.kind is OutcomeKind.SKIPPED for o in outcomes) == 38
