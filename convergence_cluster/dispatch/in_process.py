"""Runs calls in this process: one asyncio loop on a thread of its own, N calls on the wire at once, exactly."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.errors import ConvergenceError


class InProcessExecutor:
    """The embedded executor: no broker, no server.

    `open_runner` is awaited once on the loop and returns the coroutine function that runs a call; `close_runner` is
    awaited on the loop before it ends.
    """

    def __init__(
        self,
        *,
        open_runner: Callable[[], Awaitable[Callable[[Call], Coroutine[Any, Any, CallOutcome]]]],
        close_runner: Callable[[], Awaitable[None]],
        parallelism: int,
    ) -> None:
        self._open_runner = open_runner
        self._close_runner = close_runner
        self._parallelism = parallelism
        self._waiting: deque[Call] = deque()
        self._finished: deque[CallOutcome] = deque()
        self._arrived = threading.Condition()
        self._failure: BaseException | None = None
        self._idle: deque[asyncio.Future[None]] = deque()
        self._is_closed = False
        self._loop = asyncio.new_event_loop()
        self._main = self._loop.create_task(self._serve())
        self._thread = threading.Thread(target=self._run_loop, name="convergence-calls", daemon=True)
        self._thread.start()

    def submit(self, calls: Sequence[Call]) -> None:
        """Queue calls; at most `parallelism` are on the wire at once."""
        self._loop.call_soon_threadsafe(self._accept, tuple(calls))

    def collect(self, timeout_s: float) -> Sequence[CallOutcome]:
        """Return what finished since the last time, waiting up to `timeout_s` seconds for the first.

        Raises:
            ConvergenceError: the loop died of a fault of ours.
        """
        with self._arrived:
            if not self._finished and self._failure is None:
                self._arrived.wait(timeout_s)
            finished = tuple(self._finished)
            self._finished.clear()
        if not finished and self._failure is not None:
            raise ConvergenceError(f"the call loop stopped: {self._failure!r}") from self._failure
        return finished

    def cancel(self) -> None:
        """Return every call not yet on the wire as SKIPPED; the others finish."""
        self._loop.call_soon_threadsafe(self._skip_waiting)

    def close(self) -> None:
        """Abandon what is on the wire, end the loop, free the connections. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join()

    def _run_loop(self) -> None:
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that collects
            with self._arrived:
                self._failure = error
                self._arrived.notify_all()
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _serve(self) -> None:
        run = await self._open_runner()
        try:
            async with asyncio.TaskGroup() as slots:
                for _ in range(self._parallelism):
                    slots.create_task(self._work(run))
        finally:
            await self._close_runner()

    async def _work(self, run: Callable[[Call], Coroutine[Any, Any, CallOutcome]]) -> None:
        while True:
            call = await self._next_call()
            outcome = await run(call)
            if outcome.halts:
                self._skip_waiting()
            self._deliver((outcome,))

    async def _next_call(self) -> Call:
        while not self._waiting:
            wakened = self._loop.create_future()
            self._idle.append(wakened)
            await wakened
        return self._waiting.popleft()

    def _accept(self, calls: tuple[Call, ...]) -> None:
        self._waiting.extend(calls)
        for _ in calls:
            while self._idle:
                wakened = self._idle.popleft()
                if not wakened.done():
                    wakened.set_result(None)
                    break

    def _skip_waiting(self) -> None:
        skipped = tuple(CallOutcome(call=call, kind=OutcomeKind.SKIPPED) for call in self._waiting)
        self._waiting.clear()
        self._deliver(skipped)

    def _deliver(self, outcomes: tuple[CallOutcome, ...]) -> None:
        with self._arrived:
            self._finished.extend(outcomes)
            self._arrived.notify()
