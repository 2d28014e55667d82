"""One process that a supervisor keeps running: begun, begun again when it dies, ended in order."""

import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from convergence_cluster.domain.clock import Clock
from convergence_cluster.machine.place import is_free
from convergence_cluster.storage.living import process_identity

log = structlog.get_logger()

MAX_DEATHS = 6
"""In a row: a process that dies this often without having run for `_STEADY_S` is left dead."""
_STEADY_S = 60.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
SILENT_S = 60.0
"""A process whose heartbeat file nobody touched for so long hangs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """What is to run."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    log: Path
    heartbeat: Path | None = None
    """Touched while it is well, where it does so."""
    port: int | None = None
    """Open once it is ready, where it has one and no heartbeat."""
    metrics_port: int | None = None
    """Where it answers Prometheus."""
    grace_s: float = 15.0
    """How long it may take to end by itself."""

    def is_well(self) -> bool:
        """Say whether it has come up."""
        if self.heartbeat is not None:
            return self.heartbeat.exists()
        return self.port is None or not is_free(self.port)


@dataclass(kw_only=True)
class Child:
    """For one thread."""

    service: Service
    clock: Clock
    n_restarts: int = 0
    is_leaving: bool = False
    _process: "subprocess.Popen[bytes] | None" = None
    _n_deaths: int = 0
    _begun_s: float = 0.0
    _next_s: float = 0.0
    _beat: float | None = None
    _beat_s: float = field(default=0.0)
    _kill_s: float | None = None
    _has_come_up: bool = False

    @property
    def pid(self) -> int | None:
        """Return its number while it runs."""
        return None if self._process is None else self._process.pid

    @property
    def identity(self) -> str:
        """Return by what it is known, empty while it does not run."""
        return "" if self._process is None else process_identity(self._process.pid)

    @property
    def is_failed(self) -> bool:
        """Say whether it died too often."""
        return self._n_deaths >= MAX_DEATHS

    @property
    def is_over(self) -> bool:
        """Say whether it has ended and shall not run again."""
        return self.is_leaving and self._process is None

    @property
    def is_ready(self) -> bool:
        """Say whether it runs and has come up since it was begun."""
        self._has_come_up = self._process is not None and (self._has_come_up or self.service.is_well())
        return self._has_come_up

    def tend(self) -> None:
        """Look after it: begin it, begin it again after a pause, end what hangs."""
        if self._process is not None and self._process.poll() is not None:
            self._note_death(self._process.returncode)
        if self._process is not None:
            self._watch(self._process)
        elif not (self.is_leaving or self.is_failed) and self.clock.monotonic_s() >= self._next_s:
            self._begin()

    def leave(self) -> None:
        """Ask it to end; `tend` ends it when it takes longer than it may."""
        self.is_leaving = True
        if self._process is not None and self._kill_s is None:
            self._kill_s = self.clock.monotonic_s() + self.service.grace_s
            self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.is_leaving = True
        self._signal(signal.SIGKILL)

    def _begin(self) -> None:
        now_s = self.clock.monotonic_s()
        if self.service.heartbeat is not None:
            self.service.heartbeat.unlink(missing_ok=True)
        with self.service.log.open("ab") as out:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                self.service.command,
                env=dict(self.service.environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._begun_s = self._beat_s = now_s
        self._beat = None
        log.info("process.begun", name=self.service.name, pid=self._process.pid)

    def _note_death(self, code: int) -> None:
        now_s = self.clock.monotonic_s()
        self._process = None
        self._has_come_up = False
        self._kill_s = None
        if self.is_leaving:
            if self.service.heartbeat is not None:
                self.service.heartbeat.unlink(missing_ok=True)
            log.info("process.ended", name=self.service.name, code=code)
            return
        self._n_deaths = 1 if now_s - self._begun_s >= _STEADY_S else self._n_deaths + 1
        self._next_s = now_s + min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (self._n_deaths - 1))
        self.n_restarts += not self.is_failed
        log.error("process.died", name=self.service.name, code=code, is_given_up=self.is_failed)

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        """End a process that does not end in time, or that has not touched its file while this one was awake."""
        now_s = self.clock.monotonic_s()
        if self._kill_s is not None:
            if now_s >= self._kill_s:
                log.error("process.killed", name=self.service.name, pid=process.pid)
                self._signal(signal.SIGKILL)
            return
        heartbeat = self.service.heartbeat
        if heartbeat is None:
            return
        beat = _touched_at(heartbeat)
        if beat != self._beat:
            self._beat, self._beat_s = beat, now_s
        elif now_s - self._beat_s > SILENT_S:
            log.error("process.silent", name=self.service.name, pid=process.pid)
            self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def _touched_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
