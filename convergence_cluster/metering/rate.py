"""Pace: how fast one process may call one provider.

A generic cell rate algorithm (a token bucket that stores one time instead of a level) for requests and for tokens, a
limit on calls in flight, and the provider's own `Retry-After`, which stops everybody.
Source: ITU-T I.371, "generic cell rate algorithm".
"""

import asyncio
import math

_MINUTE_S = 60.0
_BURST_S = 0.5
"""Requests may come at most this much ahead of an even pace: providers enforce a minute's limit by the second."""
_TOKEN_BURST_S = 2.0
"""The same for tokens, longer because one call may carry seconds' worth of them."""
_LOOK_S = 0.25
_SAME = 0.1
"""Learned limits that differ by less are taken for the same: what they are computed from is rounded."""


class Bucket:
    """At most `per_minute` units in any 60 seconds, in bursts of at most `burst` units."""

    __slots__ = ("_free_at_s", "_interval_s", "_tolerance_s", "per_minute")

    def __init__(self, per_minute: float, *, burst: float) -> None:
        self.per_minute = per_minute
        even = max(per_minute - burst + 1.0, 1.0)
        self._interval_s = _MINUTE_S / even
        self._tolerance_s = (burst - 1.0) * self._interval_s
        self._free_at_s = 0.0

    def wait_s(self, now_s: float) -> float:
        """Return how many seconds to wait for room."""
        return max(0.0, self._free_at_s - self._tolerance_s - now_s)

    def take(self, n_units: float, now_s: float) -> float:
        """Take `n_units` and return how many seconds to wait before using them."""
        start_s = max(now_s, self._free_at_s)
        self._free_at_s = start_s + n_units * self._interval_s
        return max(0.0, start_s - self._tolerance_s - now_s)

    def drain(self, now_s: float) -> "Bucket":
        """Use up the burst, as where others have, and return the bucket."""
        self._free_at_s = max(self._free_at_s, now_s + self._tolerance_s)
        return self

    def correct(self, n_units: float) -> None:
        """Take `n_units` more (negative: give back) after the fact."""
        self._free_at_s += n_units * self._interval_s


class RateLimiter:
    """Lets calls of one provider through, in order, no faster than allowed. Used from one asyncio loop.

    Only the first in line waits for room, and looks again while it does: what the calls before it give back is its.
    """

    def __init__(self, *, rpm: float | None = None, tpm: float | None = None, concurrency: int | None = None) -> None:
        self._requests = None if rpm is None else _of_requests(rpm)
        self._tokens = None if tpm is None else _of_tokens(tpm)
        self._learns_requests, self._learns_tokens = rpm is None, tpm is None
        self._learned_until_s = -math.inf
        self._slots = None if concurrency is None else asyncio.Semaphore(concurrency)
        self._turn = asyncio.Lock()
        self._paused_until_s = 0.0

    async def acquire(self, n_tokens: int = 0) -> float:
        """Wait for this call's turn and return the seconds waited. Every `acquire` needs a `release`."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if self._slots is not None:
            await self._slots.acquire()
        if self._is_free(began_s):
            return loop.time() - began_s
        try:
            async with self._turn:
                while (wait_s := self._wait_s(loop.time())) > 0.0:  # noqa: ASYNC110 - the end may move while we wait
                    await asyncio.sleep(min(wait_s, _LOOK_S))
                self._take(n_tokens, loop.time())
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

    def adopt(self, *, rpm: float | None = None, tpm: float | None = None) -> None:
        """Keep for a minute to what the provider says it allows a minute, where nobody set a limit."""
        now_s = asyncio.get_running_loop().time()
        if self._learns_requests and rpm is not None and differs(_pace(self._requests), rpm):
            self._requests = _of_requests(rpm).drain(now_s)
        if self._learns_tokens and tpm is not None and differs(_pace(self._tokens), tpm):
            self._tokens = _of_tokens(tpm).drain(now_s)
        if rpm is not None or tpm is not None:
            self._learned_until_s = now_s + _MINUTE_S

    def _is_free(self, now_s: float) -> bool:
        """Say whether nothing limits anybody."""
        return self._requests is None and self._tokens is None and self._paused_until_s <= now_s

    def _wait_s(self, now_s: float) -> float:
        if now_s > self._learned_until_s:
            self._requests = None if self._learns_requests else self._requests
            self._tokens = None if self._learns_tokens else self._tokens
        requests_s = 0.0 if self._requests is None else self._requests.wait_s(now_s)
        tokens_s = 0.0 if self._tokens is None else self._tokens.wait_s(now_s)
        return max(requests_s, tokens_s, self._paused_until_s - now_s)

    def _take(self, n_tokens: int, now_s: float) -> None:
        if self._requests is not None:
            self._requests.take(1.0, now_s)
        if self._tokens is not None:
            self._tokens.take(min(n_tokens, self._tokens.per_minute), now_s)


def _of_requests(rpm: float) -> Bucket:
    return Bucket(rpm, burst=max(1.0, rpm * _BURST_S / _MINUTE_S))


def _of_tokens(tpm: float) -> Bucket:
    return Bucket(tpm, burst=max(1.0, tpm * _TOKEN_BURST_S / _MINUTE_S))


def _pace(bucket: Bucket | None) -> float:
    return 0.0 if bucket is None else bucket.per_minute


def differs(known_per_minute: float, per_minute: float) -> bool:
    """Say whether a limit learned anew is another than the one known (0: none)."""
    return abs(known_per_minute - per_minute) > _SAME * known_per_minute
