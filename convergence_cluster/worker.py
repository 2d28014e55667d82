"""The Celery process that makes calls: `convergence worker`, or `celery -A convergence_cluster.worker worker`.

Flower is pointed at the same module, so that it knows the queue.
"""

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from celery import Celery, bootsteps, current_task, signals
from celery.worker.consumer import Consumer

from convergence_cluster.bootstrap.collecting import collect_seldom
from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.bootstrap.surroundings import ClusterSurroundings
from convergence_cluster.bootstrap.traces import TRACE_HEADERS, open_traces
from convergence_cluster.bootstrap.worker_measuring import WorkerMeasures
from convergence_cluster.bootstrap.worker_runtime import WorkerRuntime, WorkerSettings
from convergence_cluster.dispatch.careful_channel import be_careful
from convergence_cluster.dispatch.celery_app import ARGUMENT, TASK_NAME, build_app, connections_for
from convergence_cluster.dispatch.connections import BrokerAway, Names, connect, reaching
from convergence_cluster.dispatch.holding import Holds
from convergence_cluster.dispatch.worker_board import WorkerBoard
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.metering.retry import silence_stamina
from convergence_cluster.metrics import WORKER, new_registry, serve_metrics
from convergence_cluster.settings import Settings, read_settings
from convergence_cluster.telemetry import HEARTBEAT_S, configure_logging, redactor, secrets_of

log = structlog.get_logger()

_EVENTS_EVERY_S = 0.3
DEFAULT_CONCURRENCY = 64
_running: list[WorkerRuntime] = []


def make_app() -> Celery:
    """Return the application for this process's environment."""
    settings = read_settings(read_environment(Path.cwd(), os.environ))
    if settings.broker_url is None:
        raise ConvergenceError("a worker needs CONVERGENCE_BROKER_URL, the Redis of the cluster; see docs/cluster.md")
    made = build_app(
        settings.broker_url,
        queue=settings.queue,
        concurrency=DEFAULT_CONCURRENCY,
        sentinel_master=settings.sentinel_master,
    )
    made.conf.worker_consumer = f"{__name__}:CarefulConsumer"
    made.steps["consumer"].add(ConsumerTurns)
    made.task(name=TASK_NAME, ignore_result=True)(run_calls)
    return made


def run_calls(**arguments: object) -> str:
    """Run one task; what it is given is checked, for anybody who reaches the queue can write to it."""
    runtime = _running[0]
    if set(arguments) != {ARGUMENT}:
        runtime.refuse(f"the message has the arguments {sorted(arguments)[:5]}; expected {ARGUMENT}", arguments)
        return "refused"
    request = current_task.request
    headers = {name: str(request.get(name)) for name in TRACE_HEADERS if request.get(name)}
    with open_traces(read_settings(os.environ).traces).task(headers, str(request.id)):
        return runtime.run(arguments[ARGUMENT])


class CarefulConsumer(Consumer):  # type: ignore[misc]  # Celery has no types
    """Remembers messages that it cannot read, by their kind; nothing of them is executed or logged.

    It tells Flower of tasks a few times a second: after each message, as Celery does, costs a third of the worker.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._is_telling_soon = False

    def on_send_event_buffered(self) -> None:
        """Publish what is to be told of tasks, soon. Called by the threads that run them, too."""
        if self.hub is not None and not self._is_telling_soon:
            self._is_telling_soon = True
            self.hub.call_soon(self._tell_later)

    def _tell_later(self) -> None:
        self.hub.call_later(_EVENTS_EVERY_S, self._tell)

    def _tell(self) -> None:
        self._is_telling_soon = False
        self._flush_events()

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse what is not JSON: a pickle is never opened."""
        _bury(f"not JSON: {type(exc).__name__}", message)
        message.ack()

    def on_unknown_message(self, body: object, message: Any) -> None:
        """Refuse what is no Celery task."""
        del body
        _bury("no task message", message)
        message.ack()

    def on_unknown_task(self, body: object, message: Any, exc: Exception) -> None:
        """Refuse a task of another name."""
        del body, exc
        _bury("a task of another name", message)
        message.ack()

    def on_invalid_task(self, body: object, message: Any, exc: Exception) -> None:
        """Refuse a malformed task."""
        del body, exc
        _bury("a malformed task", message)
        message.ack()


class ConsumerTurns(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Tells the runtime that the consumer's loop turns, and when there is no loop because Redis is away."""

    requires = ("celery.worker.consumer.connection:Connection",)

    def __init__(self, parent: Any, **_: object) -> None:
        super().__init__(parent)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        """Begin, after every connection."""
        self._turn()
        self._timer = parent.timer.call_repeatedly(HEARTBEAT_S, self._turn)

    def stop(self, parent: Any) -> None:
        """End, before every connection but the first."""
        del parent
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for runtime in _running:
            runtime.pulse.disconnect()

    shutdown = stop

    def _turn(self) -> None:
        for runtime in _running:
            runtime.pulse.turn()


def serve(*, concurrency: int, name: str) -> None:
    """Work until told to stop.

    Raises:
        ConvergenceError: Redis refuses our user or password, and would for ever; one that is away is waited for.
    """
    settings = read_settings(read_environment(Path.cwd(), os.environ))
    assert settings.broker_url is not None
    with suppress(BrokerAway), reaching():
        connect(settings.broker_url, sentinel_master=settings.sentinel_master).ping()
    app.conf.broker_transport_options["max_connections"] = connections_for(concurrency)
    options = ["--pool=threads", f"--concurrency={concurrency}", f"--hostname={name}@{socket.gethostname()}"]
    app.worker_main(["worker", *options, "--without-gossip", "--without-mingle", "--loglevel=WARNING"])


@signals.worker_init.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _start(sender: Any, **_: object) -> None:
    """Open what the worker needs, in the process and not at import; Celery would go on after any other failure."""
    try:
        _open(int(sender.concurrency))
    except ConvergenceError as error:
        sys.exit(f"error: {error}")


def _open(concurrency: int) -> None:
    silence_stamina()
    environ = read_environment(Path.cwd(), os.environ)
    settings = read_settings(environ)
    configure_logging(settings.log_level, redact=redactor(secrets_of(environ)))
    measures = WorkerMeasures()

    def open_surroundings(holds: Holds) -> ClusterSurroundings:
        around = ClusterSurroundings(settings, environ=environ, holds=holds)
        measures.circuits = around.circuits
        return around

    runtime = WorkerRuntime(
        _board(settings),
        WorkerSettings(
            concurrency=concurrency,
            lease_s=settings.lease_s,
            max_task_s=settings.max_task_s,
            heartbeat_path=settings.heartbeat_path,
        ),
        environ=environ,
        clock=SystemClock(),
        open_surroundings=open_surroundings,
    )
    if settings.metrics_port:
        runtime.watching = measures.watching
        measures.n_lost = lambda: runtime.holds.n_lost
        registry = new_registry(WORKER, measures.values)
        serve_metrics(registry, host=settings.metrics_host, port=settings.metrics_port)
    runtime.start()
    _running[:] = [runtime]
    be_careful(lambda reason: runtime.refuse(reason, None))
    collect_seldom()


@signals.worker_shutdown.connect  # type: ignore[untyped-decorator]  # Celery has no types
def _stop(**_: object) -> None:
    """Hand in what is left; Celery has waited for the running tasks."""
    for runtime in _running:
        runtime.stop()


def _board(settings: Settings) -> WorkerBoard:
    assert settings.broker_url is not None
    client = connect(settings.broker_url, sentinel_master=settings.sentinel_master)
    return WorkerBoard(client, Names(queue=settings.queue), lease_s=settings.lease_s)


def _bury(reason: str, message: Any) -> None:
    kind = str(getattr(message, "content_type", None))[:60]
    for runtime in _running:
        runtime.refuse(f"{reason} (content type {kind})", message)


try:
    app = make_app()
except ConvergenceError as error:
    sys.exit(f"error: {error}")
