"""`convergence coordinate`: the process of a cluster that decides."""

import argparse
import os
import signal
from pathlib import Path

from convergence_cluster.bootstrap.cluster import ClusterCoordinator
from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.settings import read_settings
from convergence_cluster.telemetry import Heartbeat, configure_logging, redactor, secrets_of


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: none; everything is a `CONVERGENCE_*` variable."""
    del parser


def run(options: argparse.Namespace) -> int:
    """Coordinate until told to stop."""
    del options
    environ = read_environment(Path.cwd(), os.environ)
    settings = read_settings(environ)
    level = settings.log_level if "CONVERGENCE_LOG_LEVEL" in environ else "info"
    configure_logging(level, redact=redactor(secrets_of(environ)))
    clock = SystemClock()
    coordinator = ClusterCoordinator(settings, environ=environ, clock=clock)
    heartbeat = Heartbeat(settings.heartbeat_path, clock=clock)
    coordinator.on_turn = lambda _: heartbeat.beat()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: coordinator.stop())
    coordinator.run()
    return 0
