"""What a worker's metrics are fed with."""

from collections import Counter
from collections.abc import Callable, Mapping

from convergence_cluster.bootstrap.worker_runtime import RunCall
from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.metrics import Values


class WorkerMeasures:
    """Told by the loop that runs the calls; `values` may be read by another thread."""

    def __init__(self) -> None:
        self.n_lost: Callable[[], int] = lambda: 0
        self.circuits: Callable[[], Mapping[tuple[str, str], bool]] = dict
        """By host and model, whether the circuit is open."""
        self._outcomes: Counter[str] = Counter({kind.value: 0 for kind in OutcomeKind})
        self._waited_s = 0.0
        self._n_in_flight = 0

    def watching(self, run: RunCall) -> RunCall:
        """Return what runs a call, counted."""

        async def counted(call: Call) -> CallOutcome:
            self._n_in_flight += 1
            try:
                outcome = await run(call)
            except Exception:
                self._outcomes[OutcomeKind.FAILED.value] += 1
                raise
            finally:
                self._n_in_flight -= 1
            self._outcomes[outcome.kind.value] += 1
            self._waited_s += outcome.waited_s
            return outcome

        return counted

    def values(self) -> Values:
        """Return how things are."""
        return {
            "convergence_worker_calls_total": {(kind,): float(n) for kind, n in self._outcomes.items()},
            "convergence_worker_calls_in_flight": float(self._n_in_flight),
            "convergence_worker_limiter_wait_seconds_total": self._waited_s,
            "convergence_worker_lease_losses_total": float(self.n_lost()),
            "convergence_breaker_open": {names: float(is_open) for names, is_open in self.circuits().items()},
        }
