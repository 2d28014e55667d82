"""Time as a value that is passed in, so that decisions replay exactly."""

import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def now_s(self) -> float:
        """Return the seconds since the Unix epoch, for records."""
        ...

    def monotonic_s(self) -> float:
        """Return seconds that never go back, for durations."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_s(self) -> float:
        """Return the seconds since the Unix epoch."""
        return time.time()

    def monotonic_s(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()
