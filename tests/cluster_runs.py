"""A whole cluster as processes: Redis, coordinators and workers that can be killed, and what each of them wrote."""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from convergence_cluster.dispatch.celery_app import list_names
from convergence_cluster.storage.database import open_database
from tests.processes import Child, forked
from tests.redis_server import RedisServer, redis_server
from tests.study_runs import EVALUATOR, Books, Folder, wait_until

LEASE_S = 2.0
PATIENT_S = 20.0
"""A lease that no slow machine loses, for tests in which nobody dies."""
QUEUE = "trials"


@dataclass(kw_only=True)
class Cluster:
    """Redis, a folder with a database, and the processes started so far."""

    folder: Folder
    broker: RedisServer
    database_url: str | None = None
    processes: list[Child] = field(default_factory=list)

    def coordinator(self, *, before: Callable[[], object] | None = None, **variables: str) -> Child:
        """Start a coordinator; `before` is called in its process first."""
        return self._fork("coordinator", "coordinate", before=before, variables=variables)

    def worker(self, *, concurrency: int = 16, before: Callable[[], object] | None = None, **variables: str) -> Child:
        """Start a worker process; `before` is called in it first."""
        return self._fork("worker", "worker", "--concurrency", str(concurrency), before=before, variables=variables)

    @contextmanager
    def supervised(self, *starts: Callable[[], Child]) -> Iterator[None]:
        """Start processes, and start each anew whenever it ends, as a pod or a service manager does."""
        running = [start() for start in starts]
        is_over = threading.Event()

        def supervise() -> None:
            while not is_over.wait(0.05):
                for number, start in enumerate(starts):
                    if not running[number].is_running and not is_over.is_set():
                        running[number] = start()

        thread = threading.Thread(target=supervise, daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def submit(
        self, study: Mapping[str, Any], *words: str, name: str = "study.yaml", evaluator: str = EVALUATOR
    ) -> str:
        """Submit a study whose answers nobody remembers, so that every repeated call is seen; return its id."""
        self.folder.write(study, name, evaluator=evaluator)
        done = self.folder.call("submit", "--detach", "--no-cache", name, *words)
        assert done.code == 0, done.err
        return done.out.strip()

    def finish(self, study: str, *, timeout_s: float = 90.0) -> Books:
        """Wait until a study has ended; return its books."""
        try:
            wait_until(lambda: self.state(study) not in {"queued", "running"}, timeout_s=timeout_s, every_s=0.1)
        except TimeoutError as error:
            raise TimeoutError(f"study {study} is stuck\n{self.logs()[-6000:]}") from error
        return self.books(study)

    def books(self, study: str) -> Books:
        """Return what the database holds of a study."""
        return self.folder.books(url=self.database_url, study=study)

    def state(self, study: str) -> str:
        """Return where a study is in its life."""
        return str(self._ask("SELECT state FROM convergence_studies WHERE id = {}", study))

    def n_calls(self, study: str) -> int:
        """Count the finished calls of a study."""
        return int(str(self._ask("SELECT count(*) FROM convergence_calls WHERE study = {}", study)))

    def client(self) -> redis.Redis:
        """Return a client of the broker."""
        return redis.Redis.from_url(self.broker.url)

    def n_queued(self) -> int:
        """Count the messages that lie in the queue."""
        with self.client() as client:
            return sum(int(client.llen(name)) for name in list_names(QUEUE))

    def dead_letters(self) -> list[str]:
        """Return what is remembered of refused messages, each as JSON text."""
        with self.client() as client:
            return [fields[b"m"].decode() for _, fields in client.xrange(f"convergence:{QUEUE}:dead")]

    def logs(self) -> str:
        """Return what all processes wrote."""
        return "\n".join(f"== {path.name}\n{path.read_text()}" for path in sorted(self.folder.path.glob("*.log")))

    def stop(self) -> None:
        """End every process."""
        for process in self.processes:
            process.kill()

    def _ask(self, query: str, study: str) -> object:
        database = open_database(self.database_url or f"sqlite:///{self.folder.path}/.convergence/convergence.db")
        try:
            with database.read() as connection:
                return connection.exec_driver_sql(query.format(database.placeholder), (study,)).scalar_one()
        finally:
            database.close()

    def _fork(self, kind: str, *words: str, before: Callable[[], object] | None, variables: Mapping[str, str]) -> Child:
        log = self._log(kind).name
        process = forked(self.folder.fork(*words, out=log, err=log, variables=variables, before=before), kind)
        self.processes.append(process)
        return process

    def _log(self, kind: str) -> Path:
        return self.folder.path / f"{kind}-{len(self.processes)}.log"


@contextmanager
def cluster(
    path: Path,
    *,
    database_url: str | None = None,
    appendonly: bool = False,
    password: str | None = None,
    options: tuple[str, ...] = (),
    lease_s: float = LEASE_S,
) -> Iterator[Cluster]:
    """Run an empty cluster in a folder: Redis only, so far."""
    with redis_server(appendonly=appendonly, password=password, options=options) as broker:
        environ = {
            "CONVERGENCE_BROKER_URL": broker.url,
            "CONVERGENCE_LEASE_S": str(lease_s),
            "CONVERGENCE_LOG_LEVEL": "info",
        }
        if database_url is not None:
            environ["CONVERGENCE_DATABASE_URL"] = database_url
        running = Cluster(folder=Folder(path=path, environ=environ), broker=broker, database_url=database_url)
        try:
            yield running
        finally:
            running.stop()


def wait_for_workers(running: Cluster, n: int, *, timeout_s: float = 60.0) -> None:
    """Wait until so many workers wait for tasks."""
    with running.client() as client:
        wait_until(lambda: _n_listening(client) >= n, timeout_s=timeout_s)


def _n_listening(client: redis.Redis) -> int:
    return sum("b" in each["flags"] and each["cmd"] == "brpop" for each in client.client_list())
