"""The process that keeps a cluster on this machine running, and ends it: `python -m` this module, by `convergence up`.

It ends in order at SIGTERM: workers first, so that their last results are taken; at a second one at once.
"""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog

from convergence_cluster.domain.clock import Clock, SystemClock
from convergence_cluster.domain.errors import Conflict, ConvergenceError
from convergence_cluster.machine.child import Child
from convergence_cluster.machine.crew import Crew
from convergence_cluster.machine.orphans import end_orphans
from convergence_cluster.machine.place import Kept, Place, Running, State, Wanted
from convergence_cluster.storage.living import process_identity
from convergence_cluster.telemetry import configure_logging, redactor, secrets_of

log = structlog.get_logger()

_TICK_S = 0.1
_LOCK_S = 3.0


class Supervisor:
    """For one thread but for `stop`."""

    def __init__(self, place: Place, crew: Crew, *, wanted: Wanted, clock: Clock) -> None:
        self._place = place
        self._crew = crew
        self._clock = clock
        self._wanted = wanted
        self._redis = Child(service=crew.redis(), clock=clock)
        self._coordinator = Child(service=crew.coordinator(), clock=clock)
        self._flower = Child(service=crew.flower(), clock=clock)
        self._workers: list[Child] = []
        self._n_stops = 0
        self._is_redis_there = False
        """Nothing else begins before."""
        self._told: State | None = None

    def stop(self) -> None:
        """End in order; at the second time at once. From a signal handler."""
        self._n_stops += 1

    def serve(self) -> None:
        """Keep everything running until `stop`, then end it."""
        while not self._n_stops:
            self._redis.tend()
            self._is_redis_there = self._is_redis_there or self._crew.redis_answers()
            if self._is_redis_there:
                self._tend_others()
            self._tell()
            time.sleep(_TICK_S)
        self._end(self._workers)
        self._end([self._coordinator, self._flower])
        self._end([self._redis])

    def _tend_others(self) -> None:
        self._scale()
        for child in (self._coordinator, self._flower, *self._workers):
            child.tend()
        self._workers = [child for child in self._workers if not child.is_over]

    def _scale(self) -> None:
        """Begin workers that are missing, and let the last ones go that are too many."""
        self._wanted = self._place.wanted() or self._wanted
        staying = [child for child in self._workers if not child.is_leaving]
        for child in staying[self._wanted.n_workers :]:
            child.leave()
        taken = {child.service.name for child in self._workers}
        free = (
            name for number in range(1, len(taken) + self._wanted.n_workers + 1) if (name := _name(number)) not in taken
        )
        for name in [next(free) for _ in range(self._wanted.n_workers - len(staying))]:
            service = self._crew.worker(name, concurrency=self._wanted.concurrency)
            self._workers.append(Child(service=service, clock=self._clock))

    def _end(self, children: list[Child]) -> None:
        for child in children:
            child.leave()
        while not all(child.is_over for child in children):
            if self._n_stops > 1:
                for child in children:
                    child.kill()
            for child in children:
                child.tend()
            self._tell()
            time.sleep(_TICK_S)

    def _tell(self) -> None:
        kept, wanted = self._crew.kept, self._wanted
        state = State(
            pid=os.getpid(),
            identity=process_identity(os.getpid()),
            environment=self._crew.environment,
            flower_url=f"http://127.0.0.1:{kept.flower_port}",
            metrics_url=f"http://127.0.0.1:{kept.metrics_port}/metrics",
            n_workers=wanted.n_workers,
            concurrency=wanted.concurrency,
            is_stopping=self._n_stops > 0,
            running=tuple(_running(c) for c in (self._redis, self._coordinator, *self._workers, self._flower)),
        )
        if state != self._told:
            self._place.tell(state)
            self._told = state


def serve(place: Place, environ: Mapping[str, str], environment: Mapping[str, str], *, clock: Clock) -> None:
    """Run a cluster until told to stop. What a killed supervisor left behind is ended first.

    Raises:
        Conflict: another supervisor is at work here.
    """
    place.make()
    with _alone(place):
        end_orphans(place, say=lambda words: log.warning("orphans.ended", what=words))
        kept = place.keep()
        crew = Crew(place=place, kept=kept, environ=environ, environment=_found_by(kept, environment))
        supervisor = Supervisor(place, crew, wanted=place.wanted() or Wanted(n_workers=2, concurrency=64), clock=clock)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: supervisor.stop())
        log.info("supervisor.begun", pid=os.getpid())
        supervisor.serve()
        place.forget()
        log.info("supervisor.ended")


@contextmanager
def _alone(place: Place) -> Iterator[None]:
    with place.lock.open("w") as file:
        ends_s = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                if time.monotonic() >= ends_s:
                    raise Conflict(f"another supervisor runs the cluster in {place.folder}") from error
                time.sleep(_TICK_S)
        yield


def _found_by(kept: Kept, environment: Mapping[str, str]) -> dict[str, str]:
    url = f"redis://:{kept.redis_password}@127.0.0.1:{kept.redis_port}/0"
    return {"CONVERGENCE_BROKER_URL": url, **environment}


def _name(number: int) -> str:
    return f"worker-{number}"


def _running(child: Child) -> Running:
    return Running(
        name=child.service.name,
        pid=child.pid,
        identity=child.identity,
        n_restarts=child.n_restarts,
        is_failed=child.is_failed,
        is_ready=child.is_ready,
        metrics_port=child.service.metrics_port,
    )


def main(arguments: list[str]) -> int:
    """Serve in the folder that is named first; the rest are variables that everybody needs who uses this cluster."""
    folder, *names = arguments
    configure_logging("info", redact=redactor(secrets_of(os.environ)))
    environment = {name: os.environ[name] for name in names}
    try:
        serve(Place(Path(folder)), os.environ, environment, clock=SystemClock())
    except ConvergenceError as error:
        log.error("supervisor.failed", reason=str(error))  # noqa: TRY400 - the reason says all
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
