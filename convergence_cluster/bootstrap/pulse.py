"""Whether a worker process is well: both of its loops turn. That Redis is away is no illness."""

import asyncio

from convergence_cluster.domain.clock import Clock
from convergence_cluster.telemetry import HEARTBEAT_S, Heartbeat

_STUCK_S = 6 * HEARTBEAT_S


class Pulse:
    """Thread-safe."""

    def __init__(self, heartbeat: Heartbeat, *, clock: Clock) -> None:
        self._heartbeat = heartbeat
        self._clock = clock
        self._turned_s: float | None = None

    def turn(self) -> None:
        """Note that the loop turns that takes tasks."""
        self._turned_s = self._clock.monotonic_s()

    def disconnect(self) -> None:
        """Note that there is no such loop: it is begun again once Redis is there."""
        self._turned_s = None

    def beat_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Beat every few seconds as long as a loop turns. On that loop."""
        turned_s = self._turned_s
        if turned_s is None or self._clock.monotonic_s() - turned_s < _STUCK_S:
            self._heartbeat.beat()
        loop.call_later(HEARTBEAT_S, self.beat_on, loop)
