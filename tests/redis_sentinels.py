"""A Redis primary with a replica, and three sentinels that replace it when it is gone."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from tests.redis_server import RedisServer, free_port, redis_server
from tests.study_runs import wait_until

MASTER = "primary"
_QUORUM = 2
_DOWN_MS = 1000


@dataclass(frozen=True, kw_only=True)
class Sentinels:
    """Three sentinels and the servers that they watch."""

    url: str
    """What coordinators and workers are given."""
    primary: RedisServer
    replica: RedisServer


@contextmanager
def redis_sentinels() -> Iterator[Sentinels]:
    """Run all five until the block ends."""
    with ExitStack() as stack:
        primary = stack.enter_context(redis_server(appendonly=True))
        following = ("--replicaof", "127.0.0.1", str(primary.port), "--repl-diskless-sync-delay", "0")
        replica = stack.enter_context(redis_server(appendonly=True, options=following))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sentinels-")))
        ports = [free_port() for _ in range(3)]
        for port in ports:
            stack.enter_context(_sentinel(primary, folder, port))
        wait_until(lambda: all(_knows_all(port) for port in ports))
        url = ";".join(f"sentinel://127.0.0.1:{port}" for port in ports)
        yield Sentinels(url=url, primary=primary, replica=replica)


@contextmanager
def _sentinel(primary: RedisServer, folder: Path, port: int) -> Iterator[None]:
    settings = folder / f"{port}.conf"
    settings.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {folder}\n"
        f"sentinel monitor {MASTER} 127.0.0.1 {primary.port} {_QUORUM}\n"
        f"sentinel down-after-milliseconds {MASTER} {_DOWN_MS}\n"
        f"sentinel failover-timeout {MASTER} 5000\n"
    )
    with subprocess.Popen([primary.binary, str(settings), "--sentinel"], stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def _knows_all(port: int) -> bool:
    try:
        with redis.Redis(port=port, decode_responses=True) as client:
            found = client.sentinel_master(MASTER)
    except redis.RedisError:
        return False
    return int(found["num-slaves"]) >= 1 and int(found["num-other-sentinels"]) >= _QUORUM
