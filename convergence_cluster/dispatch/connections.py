"""Redis by URL: one server, TLS, a password, or Sentinel; and what it is called when it is away."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.sentinel
from redis.backoff import NoBackoff
from redis.exceptions import (
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TryAgainError,
)
from redis.retry import Retry
from redis.sentinel import Sentinel

from convergence_cluster.domain.errors import ConvergenceError, LeaseLost, TransientError

SCHEMES = ("redis", "rediss", "sentinel")
_EXAMPLE = "redis://:PASSWORD@HOST:6379/0, rediss://... with TLS, or sentinel://HOST:26379;sentinel://HOST:26379"
_PASSING = (OutOfMemoryError, ReadOnlyError, MasterDownError, TryAgainError)
_PASSING_WORDS = ("OOM ", "LOADING ", "READONLY ", "MASTERDOWN ", "MISCONF ", "BUSY ", "TRYAGAIN ")
"""In what a script or a pipeline says, the word stands somewhere."""
_TIMEOUT_S = 10.0
"""Longer than any blocking read of ours."""
_CONNECT_S = 3.0


class BrokerAway(TransientError):
    """Redis does not answer; it is tried again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Names:
    """The keys of one cluster on a Redis that others may use too."""

    queue: str

    def key(self, name: str) -> str:
        """Return the key of a part of the cluster's state."""
        return f"convergence:{self.queue}:{name}"


def connect(url: str, *, sentinel_master: str | None = None) -> redis.Redis:
    """Return a client that connects when it is first used. Thread-safe.

    Raises:
        ConvergenceError: the URL is not one of Redis.
    """
    check_url(url)
    options = {**_options(), "retry": Retry(NoBackoff(), 1)}
    if not url.startswith("sentinel://"):
        return redis.Redis.from_url(url, **options)
    hosts, password, database = _sentinels(url, sentinel_master)
    sentinel = Sentinel(hosts, socket_timeout=_CONNECT_S)  # type: ignore[no-untyped-call]  # redis has no type for it
    client: redis.Redis = sentinel.master_for(  # type: ignore[no-untyped-call]  # nor for this
        sentinel_master or "", db=database, password=password, **options
    )
    return client


def connect_async(url: str, *, sentinel_master: str | None = None) -> "redis.asyncio.Redis":
    """Return a client for one asyncio loop that connects when it is first used.

    Raises:
        ConvergenceError: the URL is not one of Redis.
    """
    check_url(url)
    if not url.startswith("sentinel://"):
        return redis.asyncio.Redis.from_url(url, **_options())
    hosts, password, database = _sentinels(url, sentinel_master)
    sentinel = redis.asyncio.sentinel.Sentinel(hosts, socket_timeout=_CONNECT_S)  # type: ignore[no-untyped-call]  # as above
    client: redis.asyncio.Redis = sentinel.master_for(
        sentinel_master or "", db=database, password=password, **_options()
    )
    return client


def check_url(url: str) -> None:
    """Do nothing if a URL may be one of Redis.

    Raises:
        ConvergenceError: it is not.
    """
    try:
        is_known = all(urlsplit(part).scheme in SCHEMES and urlsplit(part).port != 0 for part in url.split(";") if part)
    except ValueError:  # a password with signs of its own makes nonsense of the rest
        is_known = False
    if not is_known or not url:
        raise ConvergenceError(
            f"CONVERGENCE_BROKER_URL is not a URL of Redis; expected {_EXAMPLE}, with signs in a password as %2F"
        )


@contextmanager
def reaching() -> Iterator[None]:
    """Turn Redis's errors into ours.

    Raises:
        BrokerAway: it does not answer, or not yet.
        LeaseLost: another coordinator has taken over.
        ConvergenceError: it refuses, and would refuse again.
    """
    try:
        yield
    except (redis.AuthenticationError, NoPermissionError) as error:
        raise ConvergenceError(f"Redis refuses: {error}; check user and password in CONVERGENCE_BROKER_URL") from error
    except redis.ResponseError as error:
        if "FENCED" in str(error):
            raise LeaseLost from error
        if isinstance(error, _PASSING) or any(word in str(error) for word in _PASSING_WORDS):
            raise BrokerAway(f"Redis cannot write now ({type(error).__name__}: {error})") from error
        raise
    except (RedisError, OSError) as error:
        raise BrokerAway(f"Redis does not answer ({type(error).__name__}: {error})") from error


def _options() -> dict[str, Any]:
    return {
        "socket_timeout": _TIMEOUT_S,
        "socket_connect_timeout": _CONNECT_S,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }


def _sentinels(url: str, master: str | None) -> tuple[list[tuple[str, int]], str | None, int]:
    if not master:
        raise ConvergenceError(
            "CONVERGENCE_BROKER_URL names sentinels; CONVERGENCE_SENTINEL_MASTER must name the master"
        )
    parts = [urlsplit(each) for each in url.split(";") if each]
    password = next((unquote(part.password) for part in parts if part.password), None)
    database = next((int(part.path.strip("/")) for part in parts if part.path.strip("/").isdigit()), 0)
    return [(part.hostname or "", part.port or 26379) for part in parts], password, database
