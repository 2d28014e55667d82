"""Pace: how fast one process may call one provider.

A generic cell rate algorithm (a token bucket that stores one time instead of a level) for requests and for tokens, a
limit on calls in flight, and the provider's own `Retry-After`, which stops everybody.
Source: ITU-T I.371, "generic cell rate algorithm".
"""

import asyncio

_MINUTE_S = 60.0
_BURST_S = 1.0
"""Requests may come at most this much ahead of an even pace: providers enforce a minute's limit by the second."""
_TOKEN_BURST_S = 6.0
"""The same for tokens, longer because one call may carry seconds' worth of them."""


class Bucket:
    """At most `per_minute` units in any 60 seconds, in bursts of at most `burst` units."""

    __slots__ = ("_free_at_s", "_interval_s", "_tolerance_s")

    def __init__(self, per_minute: float, *, burst: float) -> None:
        even = max(per_minute - burst + 1.0, 1.0)
        self._interval_s = _MINUTE_S / even
        self._tolerance_s = (burst - 1.0) * self._interval_s
        self._free_at_s = 0.0

    def take(self, n_units: float, now_s: float) -> float:
        """Take `n_units` and return how many seconds to wait before using them."""
        start_s = max(now_s, self._free_at_s)
        self._free_at_s = start_s + n_units * self._interval_s
        return max(0.0, start_s - self._tolerance_s - now_s)

    def correct(self, n_units: float) -> None:
        """Take `n_units` more (negative: give back) after the fact."""
        self._free_at_s += n_units * self._interval_s


class RateLimiter:
    """Lets calls of one provider through, in order, no faster than allowed. Used from one asyncio loop."""

    def __init__(self, *, rpm: float | None = None, tpm: float | None = None, concurrency: int | None = None) -> None:
        self._requests = None if rpm is None else Bucket(rpm, burst=max(1.0, rpm * _BURST_S / _MINUTE_S))
        self._tokens = None if tpm is None else Bucket(tpm, burst=max(1.0, tpm * _TOKEN_BURST_S / _MINUTE_S))
        self._max_tokens = tpm
        self._slots = None if concurrency is None else asyncio.Semaphore(concurrency)
        self._paused_until_s = 0.0

    async def acquire(self, n_tokens: int = 0) -> float:
        """Wait for this call's turn and return the seconds waited. Every `acquire` needs a `release`."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await self._pace(n_tokens, began_s)
        if self._slots is not None:
            await self._slots.acquire()
        try:
            while (pause_s := self._paused_until_s - loop.time()) > 0.0:  # noqa: ASYNC110 - the end may move while we wait
                await asyncio.sleep(pause_s)
        except BaseException:
            self.release()
            raise
        return loop.time() - began_s

    def release(self) -> None:
        """Give back the place in flight that `acquire` took."""
        if self._slots is not None:
            self._slots.release()

    def correct(self, n_tokens: int) -> None:
        """Book `n_tokens` more than `acquire` was told (negative: fewer)."""
        if self._tokens is not None:
            self._tokens.correct(n_tokens)

    def pause(self, seconds: float) -> None:
        """Hold back every call that is not on the wire yet, as a provider's `Retry-After` asks."""
        self._paused_until_s = max(self._paused_until_s, asyncio.get_running_loop().time() + seconds)

    async def _pace(self, n_tokens: int, now_s: float) -> None:
        wait_s = 0.0 if self._requests is None else self._requests.take(1.0, now_s)
        if self._tokens is not None and self._max_tokens is not None:
            wait_s = max(wait_s, self._tokens.take(min(n_tokens, self._max_tokens), now_s))
        if wait_s > 0.0:
            await asyncio.sleep(wait_s)
