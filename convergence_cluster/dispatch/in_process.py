"""Runs calls in this process, on an asyncio loop with a thread of its own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from convergence_cluster.dispatch.call_loop import CallLoop, RunCall
from convergence_cluster.dispatch.inbox import Inbox
from convergence_cluster.domain.calls import Call, CallOutcome


class InProcessExecutor:
    """The embedded executor: no broker, no server, no other process. See `CallLoop` for the arguments."""

    def __init__(
        self,
        *,
        open_runner: Callable[[], Awaitable[RunCall]],
        close_runner: Callable[[], Awaitable[None]],
        parallelism: int,
    ) -> None:
        self._inbox = Inbox()
        self._calls = CallLoop(
            open_runner=open_runner, close_runner=close_runner, parallelism=parallelism, deliver=self._inbox.put
        )
        self._is_closed = False
        self._loop = asyncio.new_event_loop()
        self._main = self._loop.create_task(self._calls.serve())
        self._thread = threading.Thread(target=self._run_loop, name="convergence-calls", daemon=True)
        self._thread.start()

    def submit(self, calls: Sequence[Call]) -> None:
        """Queue calls; at most `parallelism` are on the wire at once."""
        self._on_loop(self._calls.accept, tuple(calls))

    def collect(self, timeout_s: float) -> Sequence[CallOutcome]:
        """Return what finished since the last time, waiting up to `timeout_s` seconds for the first.

        Raises:
            ConvergenceError: the loop died of a fault of ours.
        """
        return self._inbox.take(timeout_s)

    def cancel(self) -> None:
        """Return every call not yet on the wire as SKIPPED; the others finish."""
        self._on_loop(self._calls.skip_waiting)

    def close(self) -> None:
        """Abandon what is on the wire, end the loop, free the connections. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        self._on_loop(self._main.cancel)
        self._thread.join()

    def _on_loop(self, function: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop has died, and `collect` says why
            self._loop.call_soon_threadsafe(function, *arguments)

    def _run_loop(self) -> None:
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that collects
            self._inbox.fail(repr(error))
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
