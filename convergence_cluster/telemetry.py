"""Logs as one JSON object a line on standard error, without secrets, and heartbeats. Nothing is ever sent anywhere."""

import logging
import sys
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from convergence_cluster.domain.clock import Clock

REDACTED = "[redacted]"

HEARTBEAT_S = 5.0
"""How often a process that is well touches its file."""
_SHORTEST_SECRET = 4
_SECRET_WORDS = ("KEY", "TOKEN", "SECRET", "PASSWORD")


def secrets_of(environ: Mapping[str, str]) -> Sequence[str]:
    """Return the values of all variables whose names speak of secrets."""
    return [value for name, value in environ.items() if any(word in name.upper() for word in _SECRET_WORDS)]


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that replaces every occurrence of every secret, by exact value, longest first."""
    known = sorted({secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def redact(text: str) -> str:
        for secret in known:
            text = text.replace(secret, REDACTED)
        return text

    return redact


def configure_logging(level: str, *, redact: Callable[[str], str] = str) -> None:
    """Set up structlog for this process. `level` is debug, info, warning or error."""

    def redact_values(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            redact_values,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def is_logging_configured() -> bool:
    """Say whether this process's logs are set up already, by us or by a program that we are part of."""
    return structlog.is_configured()


class Heartbeat:
    """Touches a file while whoever calls `beat` goes on doing so, for probes."""

    def __init__(self, path: Path | None, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._beat_s = -HEARTBEAT_S

    def beat(self) -> None:
        """Touch the file, now and then; call it as often as you like."""
        now_s = self._clock.monotonic_s()
        if self._path is not None and now_s - self._beat_s >= HEARTBEAT_S:
            self._path.touch()
            self._beat_s = now_s
