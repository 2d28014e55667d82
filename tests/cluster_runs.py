"""A whole cluster as processes: Redis, coordinators and workers that can be killed, and what each of them wrote."""

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from tests.redis_server import RedisServer, redis_server
from tests.study_runs import Books, Folder, wait_until

LEASE_S = 2.0


@dataclass(kw_only=True)
class Cluster:
    """Redis, a folder with a database, and the processes started so far."""

    folder: Folder
    broker: RedisServer
    processes: list["subprocess.Popen[str]"] = field(default_factory=list)
    database_url: str | None = None

    def coordinator(self, **variables: str) -> "subprocess.Popen[str]":
        """Start a coordinator."""
        return self._start("coordinator", "coordinate", **variables)

    def worker(self, *, concurrency: int = 16, **variables: str) -> "subprocess.Popen[str]":
        """Start a worker process."""
        return self._start("worker", "worker", "--concurrency", str(concurrency), **variables)

    def submit(self, study: Mapping[str, Any], *words: str, name: str = "study.yaml") -> str:
        """Submit a study and return its id."""
        self.folder.write(study, name)
        done = self.folder.run("submit", "--detach", name, *words)
        assert done.code == 0, done.err
        return done.out.strip()

    def finish(self, study: str, *, timeout_s: float = 60.0) -> Books:
        """Wait until a study has ended; return its books."""
        wait_until(lambda: self.state(study) not in {"queued", "running"}, timeout_s=timeout_s)
        return self.books(study)

    def books(self, study: str) -> Books:
        """Return what the database holds of a study."""
        return self.folder.books(url=self.database_url, study=study)

    def state(self, study: str) -> str:
        """Return where a study is in its life."""
        return self.books(study).state

    def n_calls(self, study: str) -> int:
        """Count the finished calls of a study."""
        return len(self.books(study).calls)

    def client(self) -> redis.Redis:
        """Return a client of the broker."""
        return redis.Redis.from_url(self.broker.url)

    def logs(self) -> str:
        """Return what all processes wrote."""
        return "\n".join(path.read_text() for path in sorted(self.folder.path.glob("*.log")))

    def stop(self) -> None:
        """End every process."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
        for process in self.processes:
            process.wait(20)

    def _start(self, kind: str, *words: str, **variables: str) -> "subprocess.Popen[str]":
        log = self.folder.path / f"{kind}-{len(self.processes)}.log"
        process = self.folder.start(*words, log=log, **variables)
        self.processes.append(process)
        return process


@contextmanager
def cluster(path: Path, *, database_url: str | None = None, appendonly: bool = False) -> Iterator[Cluster]:
    """Run an empty cluster in a folder: Redis only, so far."""
    with redis_server(appendonly=appendonly) as broker:
        environ = {
            "CONVERGENCE_BROKER_URL": broker.url,
            "CONVERGENCE_LEASE_S": str(LEASE_S),
            "CONVERGENCE_LOG_LEVEL": "info",
        }
        if database_url is not None:
            environ["CONVERGENCE_DATABASE_URL"] = database_url
        started = Cluster(folder=Folder(path=path, environ=environ), broker=broker, database_url=database_url)
        try:
            yield started
        finally:
            started.stop()


def wait_for_workers(started: Cluster, n: int, *, timeout_s: float = 30.0) -> None:
    """Wait until so many workers have told that they live."""
    client = started.client()
    key = "convergence:trials:workers"
    wait_until(lambda: client.zcount(key, time.time() * 1e6, "+inf") >= n, timeout_s=timeout_s)
