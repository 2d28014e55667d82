"""The process's settings: `CONVERGENCE_*` variables, read once into a frozen value. Studies are configured by YAML."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convergence_cluster.domain.errors import ConvergenceError

_MIN_LEASE_S = 1.0
_QUEUE = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")
_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Where things are kept and how much is logged."""

    home: Path
    """CONVERGENCE_HOME: folder of the local databases; default `.convergence` in the current folder."""
    database_url: str
    """CONVERGENCE_DATABASE_URL: studies, calls, ledger and Optuna trials; default a SQLite file in `home`."""
    legacy_url: str
    """CONVERGENCE_LEGACY_PATH: what earlier studies learned, a file or the URL of a database; default `legacy.db` in
    `home`, or the studies' own database where that is a server, so that all of a cluster share it."""
    cache_path: Path
    """CONVERGENCE_CACHE_PATH: answers of earlier calls; default `answers.db` in `home`."""
    cache_mb: float
    """CONVERGENCE_CACHE_MB: most megabytes of answers kept, the oldest go first; default 500; 0: calls are not
    remembered."""
    cache_days: float
    """CONVERGENCE_CACHE_DAYS: an older answer is asked for again, as APIs change behind their names; default 30."""
    broker_url: str | None
    """CONVERGENCE_BROKER_URL: the Redis of a cluster, as `redis://`, `rediss://` or `sentinel://`; default none."""
    sentinel_master: str | None
    """CONVERGENCE_SENTINEL_MASTER: the name under which sentinels know the Redis; default none."""
    queue: str
    """CONVERGENCE_QUEUE: which workers and coordinator belong together on one Redis; default `trials`."""
    lease_s: float
    """CONVERGENCE_LEASE_S: seconds after which a silent worker's calls go to another, the same in every process of a
    cluster; default 30."""
    max_task_s: float
    """CONVERGENCE_MAX_TASK_S: a task of a worker that takes longer hangs, and is given up; default 900, less than
    Celery's own patience of 1800."""
    metrics_port: int
    """CONVERGENCE_METRICS_PORT: where coordinator and workers answer Prometheus; default 0: nowhere."""
    metrics_host: str
    """CONVERGENCE_METRICS_HOST: the address they listen on; default 127.0.0.1."""
    heartbeat_path: Path | None
    """CONVERGENCE_HEARTBEAT_FILE: touched every few seconds while a coordinator or worker is well; default none."""
    traces: str | None
    """CONVERGENCE_TRACES: `otlp`, to the collector that OTEL_EXPORTER_OTLP_ENDPOINT names, or a file for spans as JSON
    lines; default none."""
    log_level: str
    """CONVERGENCE_LOG_LEVEL: debug, info, warning or error; default warning, because progress is shown anyway."""


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Return the settings that an environment asks for.

    Raises:
        ConvergenceError: a value is not one of those allowed.
    """
    home = Path(environ.get("CONVERGENCE_HOME") or ".convergence")
    level = (environ.get("CONVERGENCE_LOG_LEVEL") or "warning").lower()
    if level not in _LEVELS:
        raise ConvergenceError(f"CONVERGENCE_LOG_LEVEL is {level!r}; expected one of {', '.join(_LEVELS)}")
    database_url = environ.get("CONVERGENCE_DATABASE_URL") or sqlite_url(home / "convergence.db")
    return Settings(
        home=home,
        database_url=database_url,
        legacy_url=_legacy_url(environ.get("CONVERGENCE_LEGACY_PATH"), home, database_url),
        cache_path=Path(environ.get("CONVERGENCE_CACHE_PATH") or home / "answers.db"),
        cache_mb=_amount(environ, "CONVERGENCE_CACHE_MB", 500.0),
        cache_days=_amount(environ, "CONVERGENCE_CACHE_DAYS", 30.0),
        broker_url=environ.get("CONVERGENCE_BROKER_URL") or None,
        sentinel_master=environ.get("CONVERGENCE_SENTINEL_MASTER") or None,
        queue=_queue(environ.get("CONVERGENCE_QUEUE") or "trials"),
        lease_s=max(_amount(environ, "CONVERGENCE_LEASE_S", 30.0), _MIN_LEASE_S),
        max_task_s=_amount(environ, "CONVERGENCE_MAX_TASK_S", 900.0),
        metrics_port=int(_amount(environ, "CONVERGENCE_METRICS_PORT", 0.0)),
        metrics_host=environ.get("CONVERGENCE_METRICS_HOST") or "127.0.0.1",
        heartbeat_path=_path(environ.get("CONVERGENCE_HEARTBEAT_FILE")),
        traces=environ.get("CONVERGENCE_TRACES") or None,
        log_level=level,
    )


def sqlite_url(path: Path) -> str:
    """Return the URL of an SQLite database in a file."""
    return f"sqlite:///{path.as_posix()}"


def _legacy_url(given: str | None, home: Path, database_url: str) -> str:
    if given:
        return given if "://" in given else sqlite_url(Path(given))
    return sqlite_url(home / "legacy.db") if database_url.startswith("sqlite") else database_url


def _queue(name: str) -> str:
    if not _QUEUE.fullmatch(name) or "--" in name:
        raise ConvergenceError(
            f"CONVERGENCE_QUEUE is {name!r}; expected small letters, digits, dots, single dashes: trials.openai"
        )
    return name


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None


def _amount(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ConvergenceError(f"{name} is {text!r}; expected a number from 0 on")
    return value
