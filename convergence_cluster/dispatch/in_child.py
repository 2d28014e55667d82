"""Runs calls in a child process, so that the coordinator and the HTTP client do not share one interpreter lock.

The two ends talk over a private pair of sockets. The child inherits its environment, so no key is ever sent; it ends at
once when this process does. For POSIX systems.
"""

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Protocol

from convergence_cluster.dispatch.call_loop import CallLoop, RunCall
from convergence_cluster.dispatch.inbox import Inbox
from convergence_cluster.domain.calls import Call, CallOutcome
from convergence_cluster.domain.identity import Json

_SUBMIT, _CANCEL, _CLOSE, _RESERVED = "submit", "cancel", "close", "reserved"
_OUTCOMES, _RESERVE, _FAILED = "outcomes", "reserve", "failed"


class Meter(Protocol):
    """Sets aside money for retries."""

    def reserve(self, usd: float) -> bool:
        """Reserve one more attempt of at most `usd`."""
        ...


class ChildExecutor:
    """The parent's end: starts `python -m MODULE FD`, hands it an order, and relays."""

    def __init__(self, module: str, order: Json, *, environ: Mapping[str, str], meter: Meter) -> None:
        self._inbox = Inbox()
        self._meter = meter
        self._sending = threading.Lock()
        self._is_closed = False
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", module, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                env=dict(environ),
                start_new_session=True,  # a terminal's Ctrl-C is for the coordinator alone
            )
        self._connection = Connection(ours.detach())
        self._connection.send(order)
        self._thread = threading.Thread(target=self._receive, name="convergence-outcomes", daemon=True)
        self._thread.start()

    def submit(self, calls: Sequence[Call]) -> None:
        """Queue calls."""
        self._send(_SUBMIT, tuple(calls))

    def collect(self, timeout_s: float) -> Sequence[CallOutcome]:
        """Return what finished since the last time, waiting up to `timeout_s` seconds for the first.

        Raises:
            ConvergenceError: the child died.
        """
        return self._inbox.take(timeout_s)

    def cancel(self) -> None:
        """Return every call not yet on the wire as SKIPPED; the others finish."""
        self._send(_CANCEL, None)

    def close(self) -> None:
        """Abandon what is on the wire and end the child. May be called twice."""
        if self._is_closed:
            return
        self._is_closed = True
        self._send(_CLOSE, None)
        self._process.wait()
        self._thread.join()
        self._connection.close()

    def _send(self, kind: str, content: object) -> None:
        with self._sending, suppress(OSError):  # the child has died, and `collect` says so
            self._connection.send((kind, content))

    def _receive(self) -> None:
        try:
            while True:
                kind, content = self._connection.recv()
                if kind == _OUTCOMES:
                    self._inbox.put(content)
                elif kind == _RESERVE:
                    self._send(_RESERVED, self._meter.reserve(content))
                elif kind == _FAILED:
                    self._inbox.fail(content)
        except (EOFError, OSError):
            self._inbox.fail("its process ended")


class ChildEnd:
    """The child's end: runs calls as told, until told to close or until the parent is gone. Is the runner's meter."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._postponed: deque[tuple[str, object]] = deque()
        self._outbox: list[CallOutcome] = []

    @classmethod
    def open(cls, descriptor: int) -> tuple["ChildEnd", Json]:
        """Return the end at an inherited socket, and the order that came first."""
        end = cls(Connection(descriptor))
        return end, end._connection.recv()  # the first message is the order

    def reserve(self, usd: float) -> bool:
        """Ask the parent, which holds the budget, for one more attempt."""
        self._connection.send((_RESERVE, usd))
        while True:
            kind, content = self._connection.recv()
            if kind == _RESERVED:
                return bool(content)
            self._postponed.append((kind, content))
            asyncio.get_running_loop().call_soon(self._take_postponed)

    def serve(
        self,
        *,
        open_runner: Callable[[], Awaitable[RunCall]],
        close_runner: Callable[[], Awaitable[None]],
        parallelism: int,
    ) -> None:
        """Run calls; see `CallLoop`."""
        self._calls = CallLoop(
            open_runner=open_runner, close_runner=close_runner, parallelism=parallelism, deliver=self._deliver
        )
        try:
            asyncio.run(self._main())
        except BaseException as error:  # noqa: BLE001 - the parent raises it
            with suppress(OSError):
                self._connection.send((_FAILED, repr(error)))

    async def _main(self) -> None:
        self._served = asyncio.ensure_future(self._calls.serve())
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._read)
        with suppress(asyncio.CancelledError):
            await self._served

    def _read(self) -> None:
        try:
            while self._connection.poll():
                self._handle(*self._connection.recv())
        except (EOFError, OSError):
            os._exit(0)  # the parent is gone: nobody will take what is on the wire

    def _take_postponed(self) -> None:
        while self._postponed:
            self._handle(*self._postponed.popleft())

    def _handle(self, kind: str, content: object) -> None:
        match kind, content:
            case "submit", tuple():
                self._calls.accept(content)
            case "cancel", _:
                self._calls.skip_waiting()
            case _:
                self._served.cancel()

    def _deliver(self, outcomes: Sequence[CallOutcome]) -> None:
        """Send what finished within one turn of the loop together."""
        if not self._outbox:
            asyncio.get_running_loop().call_soon(self._flush)
        self._outbox.extend(outcomes)

    def _flush(self) -> None:
        outcomes, self._outbox = self._outbox, []
        self._connection.send((_OUTCOMES, outcomes))
