"""What a worker process does with a task: claims it, runs its calls on one asyncio loop, hands in what comes of it."""

import asyncio
import json
import os
import secrets
import socket
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import structlog

from convergence_cluster.bootstrap.checking import check_worker
from convergence_cluster.bootstrap.pulse import Pulse
from convergence_cluster.bootstrap.runner import RunnerFactory, Surroundings
from convergence_cluster.bootstrap.shipped_code import with_code
from convergence_cluster.dispatch.connections import BrokerAway
from convergence_cluster.dispatch.holding import Hold, Holds, current_hold
from convergence_cluster.dispatch.reporter import Reporter
from convergence_cluster.dispatch.wire import MAX_BYTES, Task, WireError, decode_task
from convergence_cluster.dispatch.worker_board import WorkerBoard
from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import digest
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.portable import unpack
from convergence_cluster.telemetry import Heartbeat

log = structlog.get_logger()

RunCall: TypeAlias = Callable[[Call], Coroutine[Any, Any, CallOutcome]]
_CLOSE_S = 5.0
_MAX_STUDIES = 64
"""Studies whose connections stay open."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """How one worker process works."""

    concurrency: int
    """Calls on the wire at once, of all studies."""
    lease_s: float
    max_task_s: float
    """A task that takes longer hangs: its lease is given up."""
    heartbeat_path: Path | None = None


class WorkerSurroundings(Surroundings, Protocol):
    """What the studies of a worker share, until it stops."""

    async def close(self) -> None:
        """Give back what others wait for."""
        ...


class WorkerRuntime:
    """One for a process. `run` is called by any number of threads; all calls run on one loop."""

    def __init__(
        self,
        board: WorkerBoard,
        settings: WorkerSettings,
        *,
        environ: Mapping[str, str],
        clock: Clock,
        open_surroundings: Callable[[Holds], "WorkerSurroundings"],
    ) -> None:
        self.worker = f"{socket.gethostname()}:{os.getpid()}"
        self._board = board
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self.holds = Holds(
            board, clock=clock, lease_s=settings.lease_s, worker=self.worker, n_slots=settings.concurrency
        )
        self.watching: Callable[[RunCall], RunCall] = lambda run: run
        """Wraps what runs a call."""
        self._open_surroundings = open_surroundings
        self._around: WorkerSurroundings | None = None
        self.pulse = Pulse(Heartbeat(settings.heartbeat_path, clock=clock), clock=clock)
        self._reporter = Reporter(board, worker=self.worker)
        self._folder = tempfile.TemporaryDirectory(prefix="convergence-")
        self._loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._runners: OrderedDict[str, asyncio.Task[tuple[RunnerFactory, RunCall]]] = OrderedDict()
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for name, target in (
                ("convergence-calls", self._loop.run_forever),
                ("convergence-leases", self.holds.serve),
                ("convergence-reports", self._reporter.serve),
            )
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()
        self._loop.call_soon_threadsafe(self.pulse.beat_on, self._loop)

    def stop(self) -> None:
        """Hand in what is finished and end the threads."""
        self._reporter.stop()
        self._threads[2].join(self._settings.lease_s)
        self.holds.stop()
        with suppress(ConvergenceError):
            self._board.leave(self.worker)
        if self._around is not None:
            closing = asyncio.run_coroutine_threadsafe(self._around.close(), self._loop)
            with suppress(TimeoutError):
                closing.result(_CLOSE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._threads[0].join(5.0)
        self._folder.cleanup()

    def run(self, message: object) -> str:
        """Run a task to its end and return what became of it. A message that is no task of ours executes nothing."""
        try:
            task = self._decode(message)
        except WireError as error:
            self.refuse(str(error), message)
            return "refused"
        with structlog.contextvars.bound_contextvars(study=task.study, task=task.id, attempt=task.attempt):
            return self._run_once(task)

    def _run_once(self, task: Task) -> str:
        """Claim a task and run it, if it is still to be run."""
        owner = f"{self.worker}:{secrets.token_hex(8)}"
        asked_s = self._clock.monotonic_s()
        verdict = self._board.claim(task, owner)
        if verdict == "stranger":
            self.refuse(f"nobody submitted study {task.study!r} here", task)
            return "refused"
        if verdict != "claimed":
            log.info("task.left", reason=verdict)
            return verdict
        hold = Hold(
            task=task.id,
            owner=owner,
            valid_until_s=asked_s + self._settings.lease_s,
            ends_s=asked_s + self._settings.max_task_s,
        )
        self.holds.add(hold)
        try:
            asyncio.run_coroutine_threadsafe(self._run_calls(task, hold), self._loop).result()
            if not hold.is_lost:
                self._reporter.finish(task).wait()
        finally:
            self.holds.remove(hold)
        return "lost" if hold.is_lost else "done"

    def refuse(self, reason: str, message: object) -> None:
        """Remember a message that is not executed, without its content."""
        log.warning("task.refused", reason=reason)
        with suppress(BrokerAway):
            self._board.bury({"reason": reason, "kind": type(message).__name__, "worker": self.worker})

    def _decode(self, message: object) -> Task:
        try:
            size = len(json.dumps(message))
        except (TypeError, ValueError, RecursionError) as error:
            raise WireError(f"the message is not JSON: {error}") from error
        if size > MAX_BYTES:
            raise WireError(f"the message has {size:,} bytes; at most {MAX_BYTES:,} are taken")
        return decode_task(message)

    async def _run_calls(self, task: Task, hold: Hold) -> None:
        try:
            run = self.watching(await self._runner(task.digest))
        except (ConvergenceError, OSError) as error:
            self._give_back(task, error)
            return
        running = [asyncio.ensure_future(self._run_call(task, call, hold, run)) for call in task.calls]
        loop = asyncio.get_running_loop()

        def end() -> None:
            loop.call_soon_threadsafe(_cancel_all, running)

        hold.on_hang = end
        await asyncio.gather(*running, return_exceptions=True)

    async def _run_call(self, task: Task, call: Call, hold: Hold, run: RunCall) -> None:
        current_hold.set(hold)
        structlog.contextvars.bind_contextvars(arm=call.arm, case=call.case, repeat=call.repeat)
        try:
            async with self._slots:
                if hold.is_lost:
                    outcome = CallOutcome(call=call, kind=OutcomeKind.SKIPPED)
                else:
                    outcome = await run(call)
        except Exception as error:
            log.exception("call.broke")
            outcome = _broken(call, error, self._clock.now_s())
        log.debug("call.ended", kind=outcome.kind.value, n_attempts=outcome.n_attempts)
        self._reporter.add(task, (outcome,))

    async def _runner(self, content: str) -> RunCall:
        """Return what runs the calls of a study, opened once."""
        known = self._runners.get(content)
        if known is None:
            known = asyncio.ensure_future(self._open(content))
            self._runners[content] = known
            while len(self._runners) > _MAX_STUDIES:
                self._close(self._runners.popitem(last=False)[1])
        self._runners.move_to_end(content)
        try:
            return (await asyncio.shield(known))[1]
        except BaseException:
            if known.done():
                self._runners.pop(content, None)
            raise

    async def _open(self, content: str) -> tuple[RunnerFactory, RunCall]:
        study = await asyncio.to_thread(self._fetch, content)
        check_worker(study, self._environ)
        if self._around is None:
            self._around = self._open_surroundings(self.holds)
        factory = RunnerFactory(
            study, environ=self._environ, meter=_Meter(self._board), clock=self._clock, surroundings=self._around
        )
        return factory, await factory.open()

    def _fetch(self, content: str) -> LoadedStudy:
        text = self._board.study(content)
        if text is None:
            raise BrokerAway(f"the content of the study is not there ({content})")
        document = json.loads(text)
        if digest(document) != content:
            raise ConvergenceError("the content of the study is not what the coordinator sent; it was changed")
        return with_code(unpack(document), Path(self._folder.name))

    def _close(self, opened: "asyncio.Task[tuple[RunnerFactory, RunCall]]") -> None:
        async def close() -> None:
            with suppress(Exception):
                factory, _ = await opened
                await factory.close()

        self._closing = asyncio.ensure_future(close())

    def _give_back(self, task: Task, error: Exception) -> None:
        """Return every call of a task that cannot be begun here; for good if mending it needs a person."""
        is_passing = isinstance(error, BrokerAway)
        log.warning("task.given_back", reason=str(error))
        blank = CallOutcome(call=task.calls[0], kind=OutcomeKind.SKIPPED)
        if not is_passing:
            message = f"worker {self.worker} cannot run it: {error}"
            blank = replace(
                blank, kind=OutcomeKind.FAILED, halts=True, error=message, finished_at_s=self._clock.now_s()
            )
        self._reporter.add(task, [replace(blank, call=call) for call in task.calls])


def _cancel_all(running: list["asyncio.Task[None]"]) -> None:
    for each in running:
        each.cancel()


class _Meter:
    """Takes attempts beyond the first from what the coordinator set aside."""

    def __init__(self, board: WorkerBoard) -> None:
        self._board = board

    def reserve(self, usd: float) -> bool:
        """Take one attempt of at most `usd`; False where nothing is left or Redis is away."""
        hold = current_hold.get()
        if hold is None or hold.is_lost:
            return False
        try:
            return self._board.take_attempt(hold.task, hold.owner, usd)
        except BrokerAway:
            return False


def _broken(call: Call, error: Exception, now_s: float) -> CallOutcome:
    """Return the outcome of a call that a fault of ours ended: it may have been paid for."""
    return CallOutcome(
        call=call,
        kind=OutcomeKind.FAILED,
        n_attempts=1,
        cost_usd=call.reserved_usd or None,
        error=f"a fault of this program ended the call: {type(error).__name__}: {error}",
        finished_at_s=now_s,
    )
