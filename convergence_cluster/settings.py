"""The process's settings: `CONVERGENCE_*` variables, read once into a frozen value. Studies are configured by YAML."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from convergence_cluster.domain.errors import ConvergenceError

_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Where things are kept and how much is logged."""

    home: Path
    """CONVERGENCE_HOME: folder of the local databases; default `.convergence` in the current folder."""
    database_url: str
    """CONVERGENCE_DATABASE_URL: studies, calls, ledger and Optuna trials; default a SQLite file in `home`."""
    legacy_path: Path
    """CONVERGENCE_LEGACY_PATH: what earlier studies learned; default `legacy.db` in `home`."""
    cache_path: Path
    """CONVERGENCE_CACHE_PATH: answers of earlier calls; default `answers.db` in `home`."""
    cache_mb: float
    """CONVERGENCE_CACHE_MB: most megabytes of answers kept, the oldest go first; default 500; 0: calls are not
    remembered."""
    cache_days: float
    """CONVERGENCE_CACHE_DAYS: an older answer is asked for again, as APIs change behind their names; default 30."""
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
    return Settings(
        home=home,
        database_url=environ.get("CONVERGENCE_DATABASE_URL") or f"sqlite:///{(home / 'convergence.db').as_posix()}",
        legacy_path=Path(environ.get("CONVERGENCE_LEGACY_PATH") or home / "legacy.db"),
        cache_path=Path(environ.get("CONVERGENCE_CACHE_PATH") or home / "answers.db"),
        cache_mb=_amount(environ, "CONVERGENCE_CACHE_MB", 500.0),
        cache_days=_amount(environ, "CONVERGENCE_CACHE_DAYS", 30.0),
        log_level=level,
    )


def _amount(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise ConvergenceError(f"{name} is {text!r}; expected a number from 0 on")
    return value
