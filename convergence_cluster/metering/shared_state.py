"""What the processes of a cluster know together through Redis, followed without a round trip for each call.

Every number that Lua returns is a duration by Redis TIME; no process's own date enters anywhere.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

AWAY = (RedisError, OSError)
"""What `SharedState.ask` raises while Redis cannot answer; a timeout is an `OSError`."""
ANSWER_S = 2.0
"""A reply that takes longer is no permission for anything any more."""
MICROSECONDS = 1e-6
POLL_S = 0.25
STALE_S = 1.5
"""What was read longer ago does not count as known."""

READ: Final = """
local t = redis.call('TIME') local now = t[1] * 1000000 + t[2]
local told = {}
for i = 1, #KEYS do
  local v = redis.call('HMGET', KEYS[i], 'paused', 'limited', 'open', 'failures')
  for j = 1, 3 do
    local ends = tonumber(v[j] or 0)
    told[#told + 1] = ends > 0 and math.max(0, ends - now) or -1
  end
  told[#told + 1] = tonumber(v[4] or 0)
end
return told
"""
"""KEYS: the hashes to read. Returns microseconds left (-1: none) of a pause, of limits and of an open circuit, and
failures."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What Redis says about one key; times are those of the running loop."""

    asked_at_s: float
    """When the question was sent: whatever happened here later is not in the answer."""
    paused_until_s: float
    limited_until_s: float
    open_until_s: float | None
    """None: the circuit is closed. In the past: it waits for a probe."""
    n_failures: int


class SharedState:
    """The way of all limiters and breakers of one asyncio loop to Redis: scripts, and one small read every `POLL_S`.

    The read happens only while calls are made.
    """

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._read = self.script(READ)
        self._followers: dict[str, list[Callable[[Told], None]]] = {}
        self._read_at_s = float("-inf")
        self._used_at_s = float("-inf")
        self._n_waiting = 0
        self._polling: asyncio.Task[None] | None = None
        self._read_anew = asyncio.Event()
        self._has_read = asyncio.Event()
        self._is_away = False

    def script(self, lua: str) -> AsyncScript:
        """Return a script for `ask`; it is sent whole where Redis does not know it yet."""
        script: AsyncScript = self._redis.register_script(lua)
        return script

    async def ask(self, script: AsyncScript, keys: Sequence[str], args: Sequence[str | int | float]) -> list[Any]:
        """Run a script and return its reply, or raise one of `AWAY` after `ANSWER_S`."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + ANSWER_S
        try:
            async with asyncio.timeout_at(ends_s):
                reply: list[Any] = await script(keys=keys, args=args)
            if loop.time() > ends_s:  # this process stood still between the reply and now
                raise TimeoutError("the reply came too late")
        except AWAY as error:
            if not self._is_away:
                log.warning("limits.redis_lost", error=f"{type(error).__name__}: {error}")
            self._is_away = True
            raise
        if self._is_away:
            log.info("limits.redis_found")
        self._is_away = False
        return reply

    def follow(self, key: str, tell: Callable[[Told], None]) -> None:
        """Call `tell` with what Redis says about `key` after every read from now on; the next `ready` reads anew."""
        self._followers.setdefault(key, []).append(tell)
        self._read_at_s = float("-inf")
        self._read_anew.set()

    def is_fresh(self) -> bool:
        """Say whether everything followed was read lately, and note that somebody needs it."""
        self._used_at_s = asyncio.get_running_loop().time()
        return self._used_at_s - self._read_at_s <= STALE_S and self._polling is not None

    async def ready(self) -> None:
        """Wait until everything followed was read lately; while Redis is away, that is until it is back."""
        while not self.is_fresh():
            if self._polling is None:
                self._polling = asyncio.create_task(self._poll())
            self._has_read.clear()
            self._n_waiting += 1
            try:
                await self._has_read.wait()
            finally:
                self._n_waiting -= 1

    async def close(self) -> None:
        """Stop reading. The connection is the caller's."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.gather(self._polling, return_exceptions=True)

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._n_waiting > 0 or loop.time() - self._used_at_s < STALE_S:
                self._read_anew.clear()
                with suppress(*AWAY):
                    await self._read_once()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._read_anew.wait(), POLL_S)
        finally:
            self._polling = None
            self._has_read.set()

    async def _read_once(self) -> None:
        loop = asyncio.get_running_loop()
        keys = list(self._followers)
        asked_at_s = loop.time()
        reply = await self.ask(self._read, keys, ())
        now_s = loop.time()
        for i, key in enumerate(keys):
            paused, limited, opened, failures = reply[4 * i : 4 * i + 4]
            told = Told(
                asked_at_s=asked_at_s,
                paused_until_s=now_s + paused * MICROSECONDS,
                limited_until_s=now_s + limited * MICROSECONDS,
                open_until_s=None if opened < 0 else now_s + opened * MICROSECONDS,
                n_failures=failures,
            )
            for tell in self._followers[key]:
                tell(told)
        if len(keys) == len(self._followers):
            self._read_at_s = asked_at_s
            self._has_read.set()
