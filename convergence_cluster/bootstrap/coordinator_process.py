"""The process of a cluster that decides, from its settings to its end."""

import os
import signal
from pathlib import Path

from convergence_cluster.bootstrap.cluster import ClusterCoordinator, Term
from convergence_cluster.bootstrap.collecting import collect_seldom
from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.bootstrap.measuring import ClusterMeasures
from convergence_cluster.domain.clock import Clock, SystemClock
from convergence_cluster.metrics import COORDINATOR, decision_histogram, new_registry, serve_metrics
from convergence_cluster.settings import Settings, read_settings
from convergence_cluster.telemetry import Heartbeat, configure_logging, redactor, secrets_of


def coordinate() -> None:
    """Coordinate until told to stop."""
    environ = read_environment(Path.cwd(), os.environ)
    settings = read_settings(environ)
    level = settings.log_level if "CONVERGENCE_LOG_LEVEL" in environ else "info"
    configure_logging(level, redact=redactor(secrets_of(environ)))
    clock = SystemClock()
    coordinator = ClusterCoordinator(settings, environ=environ, clock=clock)
    heartbeat = Heartbeat(settings.heartbeat_path, clock=clock)
    measures = _measure(coordinator, settings, clock) if settings.metrics_port else None

    def turn(term: Term | None) -> None:
        heartbeat.beat()
        if measures is not None:
            measures.turn(term)

    coordinator.on_turn = turn
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: coordinator.stop())
    collect_seldom()
    coordinator.run()


def _measure(coordinator: ClusterCoordinator, settings: Settings, clock: Clock) -> ClusterMeasures:
    measures = ClusterMeasures(clock=clock)
    registry = new_registry(COORDINATOR, lambda: measures.values)
    measures.on_decided = decision_histogram(registry).observe
    coordinator.guard = measures.watching
    serve_metrics(registry, host=settings.metrics_host, port=settings.metrics_port)
    return measures
