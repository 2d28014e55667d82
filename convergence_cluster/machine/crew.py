"""What a cluster on this machine consists of: the commands, their environments, and Redis's settings."""

import shutil
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.machine.child import Service
from convergence_cluster.machine.place import Kept, Place, free_port

_WORKER_GRACE_S = 60.0
"""Calls on the wire finish first; they are paid for."""
_REDIS_ANSWERS_S = 1.0
_PLAIN = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "TZ", "USER"})
_PREFIXES = ("CONVERGENCE_", "FLOWER_", "LC_", "LD_", "PYTHON", "SSL_")
_DATABASE_WORDS = ("CONVERGENCE_DATABASE_URL",)
"""Workers are not given them."""


def redis_binary() -> str:
    """Return the path of a Redis server.

    Raises:
        ConvergenceError: there is none.
    """
    found = shutil.which("redis-server") or shutil.which("redis-server", path=str(Path(sys.executable).parent))
    if found is None:
        raise ConvergenceError(
            "redis-server is not on the PATH, and none came with the Python packages (it does for x86_64 Linux and "
            "Python up to 3.12); install it: apt install redis-server, or brew install redis"
        )
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Crew:
    """Makes the services. `environ` is the environment in which they were asked for, keys of APIs included."""

    place: Place
    kept: Kept
    environ: Mapping[str, str]
    environment: Mapping[str, str]
    """The variables by which others find this cluster."""

    def redis(self) -> Service:
        """Return the broker, and write its settings: its password must not stand on a command line."""
        settings = {
            "bind": "127.0.0.1",
            "port": str(self.kept.redis_port),
            "requirepass": self.kept.redis_password,
            "dir": f'"{self.place.redis}"',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "tcp-keepalive": "30",
            "daemonize": "no",
        }
        self.place.write("redis.conf", "".join(f"{name} {value}\n" for name, value in settings.items()))
        command = (redis_binary(), str(self.place.redis_settings))
        environ = _without(_keyless(self.environ), _DATABASE_WORDS)
        return Service(name="redis", command=command, environ=environ, log=self.place.log("redis"))

    def coordinator(self) -> Service:
        """Return the process that decides."""
        return self._ours("coordinator", ("coordinate",), metrics_port=self.kept.metrics_port)

    def worker(self, name: str, *, concurrency: int) -> Service:
        """Return a process that makes calls."""
        words = ("worker", "--name", name, "--concurrency", str(concurrency))
        return self._ours(name, words, without=_DATABASE_WORDS, grace_s=_WORKER_GRACE_S, metrics_port=free_port())

    def flower(self) -> Service:
        """Return the process that shows workers and tasks in a browser."""
        words = ("flower", "--address", "127.0.0.1", "--port", str(self.kept.flower_port))
        password = {"CONVERGENCE_FLOWER_PASSWORD": self.kept.flower_password}
        environ = {**_keyless(self.environ), **self.environment, **password}
        return Service(
            name="flower",
            command=_command(words),
            environ=_without(environ, _DATABASE_WORDS),
            log=self.place.log("flower"),
            port=self.kept.flower_port,
        )

    def redis_answers(self) -> bool:
        """Say whether Redis has read what it kept and takes commands."""
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.kept.redis_port), _REDIS_ANSWERS_S) as line:
            line.settimeout(_REDIS_ANSWERS_S)
            line.sendall(f"AUTH {self.kept.redis_password}\r\nPING\r\n".encode())
            answer = b""
            while answer.count(b"\r\n") < 2:  # noqa: PLR2004 - one line a command
                part = line.recv(100)
                if not part:
                    return False
                answer += part
            return answer.endswith(b"+PONG\r\n")
        return False

    def _ours(
        self,
        name: str,
        words: tuple[str, ...],
        *,
        metrics_port: int,
        without: tuple[str, ...] = (),
        grace_s: float = 15.0,
    ) -> Service:
        heartbeat = self.place.heartbeat(name)
        given = {
            "CONVERGENCE_HEARTBEAT_FILE": str(heartbeat),
            "CONVERGENCE_METRICS_PORT": str(metrics_port),
            "CONVERGENCE_METRICS_HOST": "127.0.0.1",
        }
        return Service(
            name=name,
            command=_command(words),
            environ=_without({**self.environ, **self.environment, **given}, without),
            log=self.place.log(name),
            heartbeat=heartbeat,
            metrics_port=metrics_port,
            grace_s=grace_s,
        )


def _command(words: tuple[str, ...]) -> tuple[str, ...]:
    return (sys.executable, "-m", "convergence_cluster.cli", *words)


def _keyless(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a process needs that makes no calls: no keys of APIs among it."""
    return {name: value for name, value in environ.items() if name in _PLAIN or name.startswith(_PREFIXES)}


def _without(environ: Mapping[str, str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in names}
