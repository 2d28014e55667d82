"""Runs calls on the asyncio loop it is awaited on: N on the wire at once, exactly, the others in line."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind

RunCall: TypeAlias = Callable[[Call], Coroutine[Any, Any, CallOutcome]]


class CallLoop:
    """Belongs to one asyncio loop; every method but the constructor is called on it.

    `open_runner` is awaited once and returns the coroutine function that runs a call; `close_runner` is awaited at the
    end. `deliver` takes outcomes as they come.
    """

    def __init__(
        self,
        *,
        open_runner: Callable[[], Awaitable[RunCall]],
        close_runner: Callable[[], Awaitable[None]],
        parallelism: int,
        deliver: Callable[[Sequence[CallOutcome]], None],
    ) -> None:
        self._open_runner = open_runner
        self._close_runner = close_runner
        self._parallelism = parallelism
        self._deliver = deliver
        self._waiting: deque[Call] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()

    async def serve(self) -> None:
        """Run calls until cancelled."""
        run = await self._open_runner()
        try:
            async with asyncio.TaskGroup() as slots:
                for _ in range(self._parallelism):
                    slots.create_task(self._work(run))
        finally:
            await self._close_runner()

    def accept(self, calls: Sequence[Call]) -> None:
        """Put calls in line."""
        self._waiting.extend(calls)
        for _ in calls:
            while self._idle:
                wakened = self._idle.popleft()
                if not wakened.done():
                    wakened.set_result(None)
                    break

    def skip_waiting(self) -> None:
        """Return every call not yet on the wire as SKIPPED."""
        skipped = tuple(CallOutcome(call=call, kind=OutcomeKind.SKIPPED) for call in self._waiting)
        self._waiting.clear()
        self._deliver(skipped)

    async def _work(self, run: RunCall) -> None:
        while True:
            call = await self._next_call()
            outcome = await run(call)
            if outcome.halts:
                self.skip_waiting()
            self._deliver((outcome,))

    async def _next_call(self) -> Call:
        while not self._waiting:
            wakened = asyncio.get_running_loop().create_future()
            self._idle.append(wakened)
            await wakened
        return self._waiting.popleft()
