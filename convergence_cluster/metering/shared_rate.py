"""Pace for a whole cluster: how fast all its processes together may call one provider with one credential.

The state is in Redis and changes only by Lua and by Redis TIME (shared_rate_script). Processes that were given
different limits for one key keep to the tightest of each kind while, and for half a minute after, it is in use.
"""

import asyncio
import hashlib
import random
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from convergence_cluster.metering.rate import differs
from convergence_cluster.metering.shared_rate_script import PAUSE, TAKE
from convergence_cluster.metering.shared_state import AWAY, MICROSECONDS, SharedState, Told

_BATCH = 100
_GAP_S = 0.002
"""Questions of one process are at least this far apart; what comes meanwhile goes together."""
_REPORT_S = 0.05
"""Tokens given back are told to the others within this time, and so are places if nobody waits here."""
_RENEW_S = 2.0
_BACKOFF_S = (0.05, 0.5)
"""While Redis is away; with jitter at most twice as long, so that all are heard before places are given out again."""
_LEARNED_S = 60.0
_SPREAD = 0.1
_SPREAD_MAX_S = 1.0
"""After a pause, calls start over a tenth of it, at most a second, rather than all at once."""


def limit_key(host: str, credential: str | None) -> str:
    """Name what a provider counts by: its host and a digest of the credential, which says nothing about the secret."""
    digest = hashlib.blake2b((credential or "").encode(), key=host.encode()[:64], digest_size=8)
    return f"{host}:{digest.hexdigest()}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A call in this process's queue."""

    n_tokens: int
    turn: "asyncio.Future[None]"


class SharedLimiter:
    """Lets calls through no faster than all processes together may. Used from one asyncio loop.

    Without a limit of its own or of another process on the same key, a call costs no round trip: pauses arrive with
    the read that `SharedState` makes anyway. While Redis is away nobody gets a turn; those who wait get it when Redis
    is back. A batch that could lose its lease meanwhile asks through `trials.fencing.Fenced`.
    """

    def __init__(
        self,
        shared: SharedState,
        key: str,
        *,
        rpm: float | None = None,
        tpm: float | None = None,
        concurrency: int | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._shared = shared
        self._take = shared.script(TAKE)
        self._write_pause = shared.script(PAUSE)
        self._keys = [f"convergence:limit:{key}:{part}" for part in ("state", "holders", "line", "due")]
        self._me = uuid.uuid4().hex[:16]
        self._rpm, self._tpm, self._concurrency = rpm or 0.0, tpm or 0.0, concurrency or 0
        self._is_limited = bool(rpm or tpm or concurrency)
        self._learned_rpm = self._learned_tpm = 0.0
        self._learned_until_s = float("-inf")
        self._jitter = jitter
        self._waiting: deque[Waiting] = deque()
        self._held = 0
        self._held_told = 0
        self._owed_tokens = 0
        self._born = 0
        self._has_slots, self._has_tokens = concurrency is not None, tpm is not None
        self._others_limit_until_s = 0.0
        self._paused_until_s = 0.0
        self._pausing: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_s = float("inf")
        self._not_before_s = 0.0
        self._n_failed = 0
        shared.follow(self._keys[0], self._hear)

    async def acquire(self, n_tokens: int = 0) -> float:
        """Wait for this call's turn and return the seconds waited. Every `acquire` needs a `release`."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if self._is_limited or self._learned_until_s > began_s:
            await self._queue(n_tokens)
        else:
            if not self._shared.is_fresh():
                await self._shared.ready()
            if self._others_limit_until_s > loop.time():
                await self._queue(n_tokens)
            else:
                self._held += 1
        if self._paused_until_s > loop.time():
            await self._sit_out_pause()
        return loop.time() - began_s

    def release(self) -> None:
        """Give back the place in flight that `acquire` took."""
        self._held -= 1
        if self._has_slots:
            self._plan(0.0 if self._waiting else _REPORT_S)

    def correct(self, n_tokens: int) -> None:
        """Book `n_tokens` more than `acquire` was told (negative: fewer)."""
        if self._has_tokens and n_tokens:
            self._owed_tokens += n_tokens
            self._plan(_REPORT_S)

    def pause(self, seconds: float) -> None:
        """Hold back every call of the whole cluster that is not on the wire yet, as a `Retry-After` asks."""
        until_s = asyncio.get_running_loop().time() + seconds
        if until_s <= self._paused_until_s + _REPORT_S:
            return
        self._paused_until_s = until_s
        if self._pausing is None:
            self._pausing = asyncio.create_task(self._tell_pause())

    def adopt(self, *, rpm: float | None = None, tpm: float | None = None) -> None:
        """Keep for a minute to what the provider says it allows, where nobody set a limit; so do all others."""
        if rpm is not None and differs(self._learned_rpm, rpm):
            self._learned_rpm = rpm
        if tpm is not None and differs(self._learned_tpm, tpm):
            self._learned_tpm = tpm
        if rpm is not None or tpm is not None:
            self._learned_until_s = asyncio.get_running_loop().time() + _LEARNED_S

    async def close(self) -> None:
        """Say that this process holds nothing any more, and refuse those who wait."""
        for waiting in self._waiting:
            waiting.turn.cancel()
        self._waiting.clear()
        self._held = 0
        if self._timer is not None:
            self._timer.cancel()
        tasks = [task for task in (self._asking, self._pausing) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._held_told or self._owed_tokens:
            await self._ask()
        if self._timer is not None:
            self._timer.cancel()

    def _hear(self, told: Told) -> None:
        self._paused_until_s = max(self._paused_until_s, told.paused_until_s)
        self._others_limit_until_s = told.limited_until_s

    async def _queue(self, n_tokens: int) -> None:
        waiting = Waiting(n_tokens=n_tokens, turn=asyncio.get_running_loop().create_future())
        is_first = all(before.turn.done() for before in self._waiting)
        self._waiting.append(waiting)
        if is_first:
            self._plan(0.0)
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting.turn.done() and not waiting.turn.cancelled():
                self.release()
            raise

    async def _sit_out_pause(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while (pause_s := self._paused_until_s - loop.time()) > 0.0:
                await asyncio.sleep(pause_s + self._jitter() * min(_SPREAD_MAX_S, _SPREAD * pause_s))
                await self._shared.ready()
        except BaseException:
            self.release()
            raise

    async def _tell_pause(self) -> None:
        loop = asyncio.get_running_loop()
        told_s = 0.0
        try:
            while self._paused_until_s > max(told_s, loop.time()):
                ends_s = self._paused_until_s
                try:
                    left_us = int((ends_s - loop.time()) / MICROSECONDS)
                    await self._shared.ask(self._write_pause, self._keys[:1], [left_us])
                    told_s = ends_s
                except AWAY:
                    await asyncio.sleep(_BACKOFF_S[1])
        finally:
            self._pausing = None

    def _plan(self, delay_s: float) -> None:
        """Ask Redis after `delay_s` at the latest, but not too soon after the last question."""
        loop = asyncio.get_running_loop()
        at_s = max(loop.time() + delay_s, self._not_before_s)
        if at_s >= self._next_s:
            return
        self._next_s = at_s
        if self._asking is None:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._next_s, self._begin)

    def _begin(self) -> None:
        self._next_s = float("inf")
        self._asking = asyncio.create_task(self._ask())

    async def _ask(self) -> None:
        asked = [waiting for waiting in self._waiting if not waiting.turn.done()][:_BATCH]
        held, owed = self._held, self._owed_tokens
        self._owed_tokens = 0
        self._not_before_s = asyncio.get_running_loop().time() + _GAP_S
        args: list[str | int | float] = [self._me, *self._limits(), held, owed, self._born]
        args += [waiting.n_tokens for waiting in asked]
        try:
            n_granted, wait_us, self._born, has_slots, has_tokens = await self._shared.ask(self._take, self._keys, args)
        except AWAY:
            self._owed_tokens += owed
            self._back_off()
        except BaseException as error:
            self._refuse(error)
            raise
        else:
            self._n_failed = 0
            self._has_slots, self._has_tokens = bool(has_slots), bool(has_tokens)
            self._held_told = held + n_granted
            self._grant(n_granted, asked)
            self._plan_next(wait_us * MICROSECONDS)
        finally:
            self._asking = None
            if self._next_s < float("inf"):
                self._arm()

    def _limits(self) -> tuple[float, float, int]:
        """Return requests and tokens a minute and places, 0 for what is not limited."""
        if self._learned_until_s <= asyncio.get_running_loop().time():
            self._learned_rpm = self._learned_tpm = 0.0
        return self._rpm or self._learned_rpm, self._tpm or self._learned_tpm, self._concurrency

    def _grant(self, n_granted: int, asked: list[Waiting]) -> None:
        """Let the first in the queue go; those that asked may have been cancelled since."""
        n_tokens_booked = sum(waiting.n_tokens for waiting in asked[:n_granted])
        while n_granted > 0 and self._waiting:
            waiting = self._waiting.popleft()
            if waiting.turn.done():
                continue
            waiting.turn.set_result(None)
            n_granted -= 1
            n_tokens_booked -= waiting.n_tokens
            self._held += 1
        self._owed_tokens -= n_tokens_booked
        while self._waiting and self._waiting[0].turn.done():
            self._waiting.popleft()

    def _plan_next(self, wait_s: float) -> None:
        if self._waiting:
            self._plan(min(wait_s, _RENEW_S))
        elif self._held != self._held_told or self._owed_tokens:
            self._plan(_REPORT_S)
        elif self._held > 0:
            self._plan(_RENEW_S)

    def _back_off(self) -> None:
        first_s, longest_s = _BACKOFF_S
        delay_s = min(longest_s, first_s * 2.0 ** min(self._n_failed, 10)) * (1.0 + self._jitter())
        self._n_failed += 1
        self._not_before_s = asyncio.get_running_loop().time() + delay_s
        if self._waiting or self._held or self._held_told or self._owed_tokens:
            self._plan(delay_s)

    def _refuse(self, error: BaseException) -> None:
        """Leave nobody waiting for a turn that cannot come."""
        for waiting in self._waiting:
            if isinstance(error, asyncio.CancelledError):
                waiting.turn.cancel()
            elif not waiting.turn.done():
                waiting.turn.set_exception(error)
        self._waiting.clear()
