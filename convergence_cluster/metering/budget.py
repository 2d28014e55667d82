"""The hard cap of a study: nothing is sent that could not be paid for."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.search import StopReason

_UNITS_PER_USD = 10**12
"""Money is counted in whole picodollars, so that sums are exact in any order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remaining:
    """What a budget has left beyond spent and reserved; None: that kind of budget is not set."""

    usd: float | None
    calls: int | None
    time_s: float | None


class Budget:
    """Money, attempts and time of one study, reserved before and settled after each attempt.

    Thread-safe. After any interleaving of reservations and settlements, spent plus reserved stays within the caps as
    long as no attempt costs more than what was reserved for it; one that does is booked as it is and stops the rest.
    """

    def __init__(
        self, *, clock: Clock, usd: float | None = None, calls: int | None = None, time_s: float | None = None
    ) -> None:
        self._clock = clock
        self._cap_units = None if usd is None else _units(usd)
        self._cap_calls = calls
        self._deadline_s = None if time_s is None else clock.monotonic_s() + time_s
        self._lock = threading.Lock()
        self._spent_units = 0
        self._reserved_units = 0
        self._calls = 0
        self._reserved_calls = 0
        self._aside_calls = 0
        self._aside_units = 0
        self._aside_s: Callable[[], float] = _no_time

    def reserve(self, usd: float = 0.0, *, n: int = 1, scoring_usd: float = 0.0) -> bool:
        """Set aside `n` attempts of at most `usd` each, and what scoring them may take.

        False: it does not fit or the time is over, and nothing changed.
        """
        units = n * _units(usd) + _units(scoring_usd)
        with self._lock:
            if self._refusal(units, n) is not None:
                return False
            self._reserved_units += units
            self._reserved_calls += n
            return True

    def release(self, usd: float = 0.0, *, scoring_usd: float = 0.0) -> None:
        """Give back the reservation of one attempt that was never sent."""
        self.settle(reserved_usd=usd, n_attempts=0, usd=0.0, n_reserved=1, scoring_usd=scoring_usd)

    def trade(self, *, n_from: int, from_usd: float, n_to: int, to_usd: float) -> None:
        """Turn `n_from` reservations of one bound into `n_to` of another, whether or not these fit."""
        with self._lock:
            change = n_to * _units(to_usd) - n_from * _units(from_usd)
            self._reserved_units = max(0, self._reserved_units + change)
            self._reserved_calls = max(0, self._reserved_calls + n_to - n_from)

    def settle(
        self,
        *,
        reserved_usd: float,
        n_attempts: int,
        usd: float | None,
        n_reserved: int | None = None,
        scoring_usd: float = 0.0,
    ) -> None:
        """Book what a call cost in place of its reservations.

        `reserved_usd` is the reservation of each attempt and `n_reserved` how many were made (default: as many as were
        sent, at least one). `scoring_usd` was reserved for scoring. `usd` is the cost of all attempts and of scoring;
        None: no price is known, so nothing is booked.
        """
        n_released = max(n_attempts, 1) if n_reserved is None else n_reserved
        with self._lock:
            freed_units = n_released * _units(reserved_usd) + _units(scoring_usd)
            self._reserved_units = max(0, self._reserved_units - freed_units)
            self._reserved_calls = max(0, self._reserved_calls - n_released)
            self._spent_units += _units(usd or 0.0)
            self._calls += n_attempts

    def restore(self, *, usd: float, calls: int, time_s: float = 0.0) -> None:
        """Book what an earlier run of the same study spent."""
        with self._lock:
            if self._deadline_s is not None:
                self._deadline_s -= time_s
            self._spent_units += _units(usd)
            self._calls += calls

    def set_aside(self, *, calls: int, usd: float, time_s: Callable[[], float] | None = None) -> None:
        """Keep this much out of reach until `give_back`.

        `time_s` is asked at every reservation, from any thread: how long a thing takes is known better as time goes by.
        """
        with self._lock:
            self._aside_calls, self._aside_units, self._aside_s = calls, _units(usd), time_s or _no_time

    def give_back(self) -> None:
        """Put what was set aside within reach."""
        self.set_aside(calls=0, usd=0.0)

    def refusal(self, usd: float = 0.0, *, n: int = 1) -> StopReason | None:
        """Say which cap keeps `n` more attempts of `usd` together from being reserved, or None.

        With `n` of 0 time is over at the deadline only, whatever is set aside of it.
        """
        with self._lock:
            return self._refusal(_units(usd), n)

    @property
    def spent_usd(self) -> float:
        """USD of all settled attempts."""
        return self._spent_units / _UNITS_PER_USD

    @property
    def reserved_usd(self) -> float:
        """USD set aside for attempts in flight."""
        return self._reserved_units / _UNITS_PER_USD

    @property
    def calls(self) -> int:
        """How many attempts were settled."""
        return self._calls

    @property
    def remaining(self) -> Remaining:
        """What may still be reserved."""
        with self._lock:
            usd = None if self._cap_units is None else self._cap_units - self._spent_units - self._reserved_units
            calls = None if self._cap_calls is None else self._cap_calls - self._calls - self._reserved_calls
            time_s = None if self._deadline_s is None else self._deadline_s - self._clock.monotonic_s()
        return Remaining(
            usd=None if usd is None else max(usd, 0) / _UNITS_PER_USD,
            calls=None if calls is None else max(calls, 0),
            time_s=None if time_s is None else max(time_s, 0.0),
        )

    def _refusal(self, units: int, n: int) -> StopReason | None:
        if self._deadline_s is not None:
            aside_s = self._aside_s() if n else 0.0
            if self._clock.monotonic_s() >= self._deadline_s - aside_s:
                return StopReason.BUDGET_TIME
        if self._cap_calls is not None:
            used_calls = self._calls + self._reserved_calls + self._aside_calls
            if used_calls + n > self._cap_calls:
                return StopReason.BUDGET_CALLS
        if self._cap_units is not None:
            used = self._spent_units + self._reserved_units + self._aside_units
            if used + units > self._cap_units or used >= self._cap_units > 0:
                return StopReason.BUDGET_USD
        return None


def _units(usd: float) -> int:
    return round(usd * _UNITS_PER_USD)


def _no_time() -> float:
    return 0.0
