"""The folder of a cluster on this machine: what is kept there, and for whose eyes."""

import json
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

USER: Final = "convergence"
"""Who logs in to Flower."""
_PASSWORD_BYTES = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What stays the same from one start to the next: passwords, and ports as long as nobody else has them."""

    redis_password: str
    redis_port: int
    flower_password: str
    flower_port: int
    metrics_port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Running:
    """One process as its supervisor sees it."""

    name: str
    pid: int | None
    identity: str
    """Of the process, by which it is known from a later one of the same number."""
    n_restarts: int
    is_failed: bool
    """It died too often and is not started again."""
    is_ready: bool
    metrics_port: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What the supervisor says of itself. Holds passwords."""

    pid: int
    identity: str
    environment: Mapping[str, str]
    """The variables by which others find this cluster."""
    flower_url: str
    metrics_url: str
    n_workers: int
    concurrency: int
    is_stopping: bool = False
    running: Sequence[Running] = field(default_factory=tuple)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What the supervisor shall keep running."""

    n_workers: int
    concurrency: int


class Place:
    """A folder that only its owner may read; every file is replaced in whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()

    @property
    def lock(self) -> Path:
        """Return the file that a supervisor holds locked."""
        return self.folder / "lock"

    @property
    def redis(self) -> Path:
        """Return where Redis keeps what it must not lose."""
        return self.folder / "redis"

    @property
    def redis_settings(self) -> Path:
        """Return Redis's own settings; they hold its password."""
        return self.folder / "redis.conf"

    def log(self, name: str) -> Path:
        """Return where a process writes."""
        return self.folder / f"{name}.log"

    def heartbeat(self, name: str) -> Path:
        """Return the file that a process touches while it is well."""
        return self.folder / f"{name}.alive"

    def make(self) -> None:
        """Make the folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        self.redis.mkdir(exist_ok=True)

    def keep(self) -> Kept:
        """Return the passwords and ports of this cluster, new ones where there are none or a port is taken."""
        known = self._read("kept.json") or {}
        ports = {name: known.get(name, 0) for name in ("redis_port", "flower_port", "metrics_port")}
        kept = Kept(
            redis_password=known.get("redis_password") or secrets.token_urlsafe(_PASSWORD_BYTES),
            flower_password=known.get("flower_password") or secrets.token_urlsafe(_PASSWORD_BYTES),
            **{name: port if port and is_free(port) else free_port() for name, port in ports.items()},
        )
        self.write("kept.json", json.dumps(asdict(kept)))
        return kept

    def kept(self) -> Kept | None:
        """Return the passwords and ports of this cluster, or None before its first start."""
        known = self._read("kept.json")
        return None if known is None else Kept(**known)

    def wanted(self) -> Wanted | None:
        """Return what shall run, or None where nobody has said so."""
        known = self._read("wanted.json")
        return None if known is None else Wanted(**known)

    def want(self, wanted: Wanted) -> None:
        """Say what shall run."""
        self.write("wanted.json", json.dumps(asdict(wanted)))

    def state(self) -> State | None:
        """Return what a supervisor said last, or None where none was begun or it has ended in order."""
        known = self._read("state.json")
        if known is None:
            return None
        return State(**{**known, "running": tuple(Running(**each) for each in known["running"])})

    def tell(self, state: State) -> None:
        """Say how things are."""
        self.write("state.json", json.dumps(asdict(state)))
        self.write("prometheus.json", json.dumps(_targets(state), indent=1))

    def forget(self) -> None:
        """Say that nothing runs any more."""
        (self.folder / "prometheus.json").unlink(missing_ok=True)
        (self.folder / "state.json").unlink(missing_ok=True)

    def write(self, name: str, text: str) -> None:
        """Replace a file, for its owner only."""
        path = self.folder / name
        fresh = path.with_name(f"{name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            found = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None


def _targets(state: State) -> list[dict[str, Any]]:
    """Return whom Prometheus may ask, as its `file_sd_configs` reads it."""
    return [
        {"targets": [f"127.0.0.1:{each.metrics_port}"], "labels": {"process": each.name}}
        for each in state.running
        if each.metrics_port is not None
    ]


def free_port() -> int:
    """Return a port of this machine that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Say whether nobody has a port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
