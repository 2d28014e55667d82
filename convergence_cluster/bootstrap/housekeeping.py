"""What happens beside the search, now and then: progress is shown, arms are recorded, the lease is renewed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.search import Recommendation

_SHOW_EVERY_S = 0.5
_RECORD_EVERY_S = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """A glance at a running study."""

    n_calls: int
    """Calls made, as the cap counts them: of this and earlier sittings, each retry and each draw."""
    max_calls: int | None
    n_in_flight: int
    counts: Mapping[str, int]
    """Finished calls by outcome kind."""
    n_cached: int = 0
    """Calls answered by the cache, among the finished ones."""
    spent_usd: float | None
    """None: no price is known."""
    max_usd: float | None
    elapsed_s: float
    calls_per_s: float
    """Of this sitting."""
    left_s: float | None
    """Until the nearest cap at the present rate; None: no cap."""
    recommendation: Recommendation
    is_final: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Caps:
    """The study's budget; None: no cap."""

    usd: float | None
    calls: int | None
    time_s: float | None


class Housekeeping:
    """Called by the coordinator after every round."""

    def __init__(
        self, *, clock: Clock, caps: Caps, listener: Callable[[Progress], None], renew: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._renew = renew
        self._caps = caps
        self._listener = listener
        self._began_s = self._shown_s = self._recorded_s = clock.monotonic_s()
        self._n_before = 0

    def begin(self, coordinator: Coordinator) -> None:
        """Start counting this sitting, and write down that it began."""
        coordinator.begin()
        self._began_s = self._shown_s = self._recorded_s = self._clock.monotonic_s()
        self._n_before = coordinator.accounts.n_attempts
        self._renew()

    def __call__(self, coordinator: Coordinator) -> None:
        """Show and record what is due."""
        now_s = self._clock.monotonic_s()
        if now_s - self._shown_s >= _SHOW_EVERY_S:
            self.show(coordinator)
            self._shown_s = self._clock.monotonic_s()
        if now_s - self._recorded_s >= _RECORD_EVERY_S:
            self._renew()
            coordinator.record()
            self._recorded_s = self._clock.monotonic_s()

    def show(self, coordinator: Coordinator, *, is_final: bool = False) -> None:
        """Show the progress now."""
        accounts = coordinator.accounts
        elapsed_s = max(self._clock.monotonic_s() - self._began_s, 1e-3)
        calls_per_s = max(0, accounts.n_attempts - self._n_before) / elapsed_s
        self._listener(
            Progress(
                n_calls=accounts.n_attempts,
                max_calls=self._caps.calls,
                n_in_flight=coordinator.n_in_flight,
                counts=dict(accounts.counts),
                n_cached=accounts.n_cached,
                spent_usd=accounts.known_usd,
                max_usd=self._caps.usd,
                elapsed_s=elapsed_s,
                calls_per_s=calls_per_s,
                left_s=self._left_s(coordinator, calls_per_s),
                recommendation=coordinator.optimizer.recommend(),
                is_final=is_final,
            )
        )

    def _left_s(self, coordinator: Coordinator, calls_per_s: float) -> float | None:
        accounts, caps = coordinator.accounts, self._caps
        left = []
        if caps.time_s is not None:
            left.append(caps.time_s - coordinator.sittings.active_s)
        if caps.calls is not None and calls_per_s > 0:
            left.append((caps.calls - accounts.n_attempts) / calls_per_s)
        usd_per_s = accounts.counted_usd / max(accounts.n_attempts, 1) * calls_per_s
        if caps.usd is not None and usd_per_s > 0:
            left.append((caps.usd - accounts.counted_usd) / usd_per_s)
        return max(0.0, min(left)) if left else None
