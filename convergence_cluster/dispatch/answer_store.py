"""Answers of earlier calls in Redis, for all workers of a cluster. Losing them costs nothing but money."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from redis.asyncio import Redis

from convergence_cluster.dispatch.connections import Names, reaching
from convergence_cluster.domain.errors import ConvergenceError

_GATHER_S = 0.002
"""What is asked for within so long is asked together."""
_PUT: Final = """
local t = redis.call('TIME') local now = tonumber(t[1])
local n_bytes = tonumber(redis.call('GET', KEYS[2]) or '0')
local function drop(key)
  n_bytes = n_bytes - redis.call('STRLEN', KEYS[3] .. key)
  redis.call('DEL', KEYS[3] .. key)
  redis.call('ZREM', KEYS[1], key)
end
for i = 3, #ARGV, 2 do
  n_bytes = n_bytes - redis.call('STRLEN', KEYS[3] .. ARGV[i]) + #ARGV[i + 1]
  redis.call('SET', KEYS[3] .. ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[1], now, ARGV[i])
end
for _, key in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2], 'LIMIT', 0, 100)) do drop(key) end
while n_bytes > tonumber(ARGV[1]) do
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 99)
  if #oldest == 0 then n_bytes = 0 break end
  for _, key in ipairs(oldest) do
    if n_bytes <= tonumber(ARGV[1]) then break end
    drop(key)
  end
end
redis.call('SET', KEYS[2], string.format('%.0f', n_bytes))
return n_bytes
"""
"""KEYS ages, bytes in all, prefix of answers; ARGV most bytes, longest age in seconds, (key, answer)*."""


class RedisAnswers:
    """A store of at most `max_bytes`, the oldest go first. Used from one asyncio loop."""

    def __init__(self, client: Redis, names: Names, *, max_bytes: int, max_age_s: float) -> None:
        self._redis = client
        self._prefix = names.key("answer:")
        self._keys = [names.key("answers.age"), names.key("answers.bytes"), self._prefix]
        self._limits = (max_bytes, max_age_s)
        self._put = client.register_script(_PUT)
        self._asked: dict[str, asyncio.Future[bytes | None]] = {}
        self._given: dict[str, bytes] = {}
        self._flushing: set[asyncio.Task[None]] = set()

    async def get(self, key: str) -> bytes | None:
        """Return what was put under a key, or None.

        Raises:
            ConvergenceError: Redis does not answer.
        """
        if key in self._given:
            return self._given[key]
        known = self._asked.get(key)
        if known is None:
            if not self._asked:
                self._soon(self._look)
            known = self._asked[key] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(known)

    async def put(self, key: str, value: bytes) -> None:
        """Keep a value under a key, soon. A value that cannot be kept is asked for again."""
        if not self._given:
            self._soon(self._write)
        self._given[key] = value

    async def close(self) -> None:
        """Write what is not written."""
        await asyncio.gather(*self._flushing, return_exceptions=True)

    def _soon(self, work: Callable[[], Awaitable[None]]) -> None:
        async def later() -> None:
            await asyncio.sleep(_GATHER_S)
            await work()

        task = asyncio.ensure_future(later())
        self._flushing.add(task)
        task.add_done_callback(self._flushing.discard)

    async def _look(self) -> None:
        asked, self._asked = self._asked, {}
        try:
            with reaching():
                found: list[Any] = await self._redis.mget([f"{self._prefix}{key}" for key in asked])
        except ConvergenceError as error:
            for waiting in asked.values():
                waiting.set_exception(error)
            return
        for waiting, value in zip(asked.values(), found, strict=True):
            waiting.set_result(value)

    async def _write(self) -> None:
        given, self._given = self._given, {}
        args: list[Any] = [*self._limits, *(part for pair in given.items() for part in pair)]
        try:
            with reaching():
                await self._put(keys=self._keys, args=args)
        except ConvergenceError:
            return
