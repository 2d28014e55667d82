"""What Prometheus can ask of a coordinator and of a worker: every name with its meaning, and who answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from convergence_cluster.domain.errors import ConvergenceError

Values: TypeAlias = Mapping[str, "float | Mapping[tuple[str, ...], float]"]
"""By the name of the metric: its value, or its values by those of its labels. What is left out is not shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """One metric. A name that ends in `_total` counts, any other measures."""

    name: str
    what: str
    labels: tuple[str, ...] = ()


COORDINATOR: Final = (
    Family(name="convergence_leader", what="1 if this coordinator leads, 0 if it stands by"),
    Family(name="convergence_queue_depth", what="tasks that wait in the queue", labels=("priority",)),
    Family(name="convergence_tasks_unacked", what="tasks in workers' hands, not finished"),
    Family(name="convergence_calls_in_flight", what="calls sent and not answered, in the queue or with a worker"),
    Family(name="convergence_calls_waiting", what="calls decided and not sent yet"),
    Family(name="convergence_calls_total", what="calls that were written down", labels=("outcome",)),
    Family(name="convergence_spend_usd_total", what="USD that were booked, lost calls at their bound"),
    Family(name="convergence_results_total", what="outcomes taken from the stream, repeated ones included"),
    Family(name="convergence_lease_losses_total", what="tasks taken back as their worker was silent for a lease"),
    Family(name="convergence_tasks_resent_total", what="tasks sent anew as the queue had lost them"),
    Family(
        name="convergence_arms_alive", what="configurations still in the race, while a study runs", labels=("study",)
    ),
    Family(name="convergence_studies", what="studies of this cluster in the database", labels=("state",)),
    Family(name="convergence_workers", what="workers that live"),
    Family(name="convergence_worker_slots", what="calls that they can have on the wire at once"),
    Family(
        name="convergence_desired_slots",
        what="calls that could be on the wire now: what studies ask for, within budgets and limits of providers",
    ),
)
DECISION: Final = Family(
    name="convergence_decision_seconds", what="time that one decision of a search took (histogram)"
)
WORKER: Final = (
    Family(name="convergence_worker_calls_total", what="calls that ended here", labels=("outcome",)),
    Family(name="convergence_worker_calls_in_flight", what="calls that have begun here and not ended"),
    Family(
        name="convergence_worker_limiter_wait_seconds_total",
        what="seconds that calls waited for limits and between attempts",
    ),
    Family(name="convergence_worker_lease_losses_total", what="tasks that this worker gave up as their lease was lost"),
    Family(
        name="convergence_breaker_open",
        what="1 while the API is left alone because it is away; the provider is its host",
        labels=("provider", "model"),
    ),
)
_DECISION_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Answering(Collector):
    """Answers with what `read` returns at that moment, from a thread of the server."""

    def __init__(self, families: Sequence[Family], read: Callable[[], Values]) -> None:
        self._families = families
        self._read = read

    def describe(self) -> Iterable[Metric]:
        """Return the metrics without values."""
        return [_family(family) for family in self._families]

    def collect(self) -> Iterable[Metric]:
        """Return the metrics that have values now."""
        values = self._read()
        for family in self._families:
            if family.name in values:
                yield _filled(family, values[family.name])


def decision_histogram(registry: CollectorRegistry) -> Histogram:
    """Return what the time of every decision is told."""
    return Histogram(DECISION.name, DECISION.what, registry=registry, buckets=_DECISION_S)


def new_registry(families: Sequence[Family], read: Callable[[], Values]) -> CollectorRegistry:
    """Return a registry of these metrics and of those of the process."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(Answering(families, read))
    return registry


def serve_metrics(registry: CollectorRegistry, *, host: str, port: int) -> None:
    """Answer at `/metrics` from a thread of its own, until the process ends.

    Raises:
        ConvergenceError: the address is taken.
    """
    try:
        start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise ConvergenceError(
            f"CONVERGENCE_METRICS_PORT: cannot listen on {host}:{port} ({error.strerror}); choose another, or 0"
        ) from error


def _family(family: Family) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if family.name.endswith("_total") else GaugeMetricFamily
    return kind(family.name, family.what, labels=family.labels)


def _filled(family: Family, values: float | Mapping[tuple[str, ...], float]) -> Metric:
    found = _family(family)
    for labels, value in (values if isinstance(values, Mapping) else {(): values}).items():
        found.add_metric(labels, value)
    return found
