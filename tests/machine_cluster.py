"""A cluster on this machine as its user has it: `convergence up` in a folder, and its state."""

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.machine.crew import redis_binary
from convergence_cluster.machine.orphans import is_alive
from convergence_cluster.machine.place import Kept, Place, Running, State
from tests.study_runs import Folder


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A folder in which `convergence up` was run."""

    folder: Folder
    up: str
    """What it printed."""

    @property
    def place(self) -> Place:
        return Place(self.folder.path / ".convergence" / "cluster")

    @property
    def state(self) -> State:
        found = self.place.state()
        assert found is not None
        return found

    @property
    def kept(self) -> Kept:
        found = self.place.kept()
        assert found is not None
        return found

    @property
    def running(self) -> Mapping[str, Running]:
        """The processes that are alive, by name."""
        return {each.name: each for each in self.state.running if is_alive(each)}

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.state.environment["CONVERGENCE_BROKER_URL"])

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.place.folder.glob("*.log*")))


@contextmanager
def machine_cluster(path: Path, *words: str, **variables: str) -> Iterator[Machine]:
    """Run `convergence up` in a folder, and `down` at the end."""
    try:
        redis_binary()
    except ConvergenceError:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip("redis-server is missing")
    folder = Folder(path=path, environ=variables)
    done = folder.run("up", *words)
    try:
        assert done.code == 0, done.err + "".join(log.read_text() for log in path.rglob("*.log"))
        yield Machine(folder=folder, up=done.out)
    finally:
        ended = folder.run("down", "--now")
        left = Place(path / ".convergence" / "cluster").state()
        for each in () if left is None else left.running:
            with suppress(ProcessLookupError):
                if is_alive(each) and each.pid is not None:
                    os.kill(each.pid, signal.SIGKILL)
        assert ended.code == 0, ended.err
