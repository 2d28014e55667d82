"""The process's settings: `CONVERGENCE_*` variables, read once into a frozen value. Studies are configured by YAML."""

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
        log_level=level,
    )
