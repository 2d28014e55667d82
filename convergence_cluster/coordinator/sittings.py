"""The time in which a study was worked on, over all sittings, also those that were killed."""

from collections.abc import Iterable

from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.journal import Event, LedgerEntry, Sat

_PAUSE_S = 120.0
"""Where no sitting says when it ended, a longer time without a finished call is taken for a pause."""


class Sittings:
    """Adds up the sittings of a study, and says what the journal is to say of the present one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._earlier_s = 0.0
        self._began: tuple[float, float] | None = None
        """By the wall clock and by the monotonic one."""
        self._ended_s: float | None = None

    @property
    def active_s(self) -> float:
        """Seconds of all sittings up to now; pauses between them do not count."""
        return self._earlier_s + self._present_s

    @property
    def _present_s(self) -> float:
        if self._began is None:
            return 0.0
        ended_s = self._clock.monotonic_s() if self._ended_s is None else self._ended_s
        return ended_s - self._began[1]

    def restore(self, events: Iterable[Event], ledger: Iterable[LedgerEntry]) -> None:
        """Take up what earlier sittings wrote down."""
        self._earlier_s = worked_s((e for e in events if isinstance(e, Sat)), (entry.at_s for entry in ledger))

    def begin(self) -> Sat:
        """Begin a sitting; return how to write that down."""
        self._began, self._ended_s = (self._clock.now_s(), self._clock.monotonic_s()), None
        return self.beat()

    def beat(self) -> Sat:
        """Return how to write down that the sitting goes on. Its length is the monotonic clock's."""
        assert self._began is not None
        return Sat(began_s=self._began[0], until_s=self._began[0] + self._present_s)

    def end(self) -> tuple[Sat, ...]:
        """End the sitting, if one began; return how to write that down."""
        if self._began is None:
            return ()
        self._ended_s = self._clock.monotonic_s()
        return (self.beat(),)


def worked_s(sittings: Iterable[Sat], booked_at_s: Iterable[float]) -> float:
    """Return how long a study was worked on.

    A sitting that was killed ended with its last word or with the last of its bookings, whichever is later. Journals
    of releases that did not write sittings down have bookings alone: the time between two of them counts, unless it is
    so long that nobody can have been at work.
    """
    last_words = {sat.began_s: sat.until_s for sat in sittings}
    spans = sorted(last_words.items())
    total_s = sum(until_s - began_s for began_s, until_s in spans)
    alive_s: float | None = None
    for at_s in sorted(booked_at_s):
        while spans and spans[0][0] <= at_s:
            alive_s = spans.pop(0)[1]
        if alive_s is not None and at_s > alive_s:
            total_s += at_s - alive_s if at_s - alive_s < _PAUSE_S else 0.0
        alive_s = at_s if alive_s is None else max(alive_s, at_s)
    return total_s
