"""Minutes of a cluster's pace in no time: the limiter and its Lua in a real Redis, under a clock that jumps."""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import redis as synchronous
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from convergence_cluster.metering.shared_rate import SharedLimiter
from convergence_cluster.metering.shared_state import SharedState
from tests.redis_server import RedisServer, redis_server
from tests.unit.metering.virtual_time import now_s, run

_EPOCH_S = 1_800_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> "Iterator[synchronous.Redis]":
    with server.client() as connected:
        connected.flushdb()
        yield connected


class VirtualState(SharedState):
    """Asks a real Redis, whose clock is told by the loop that jumps."""

    def __init__(self, client: "synchronous.Redis") -> None:
        super().__init__(Redis())
        self._client = client
        self.n_asked = 0
        self.is_away = False

    async def ask(self, script: AsyncScript, keys: Sequence[str], args: Sequence[str | int | float]) -> list[Any]:
        if self.is_away:
            await asyncio.sleep(0.1)
            raise ConnectionError
        lua = str(script.script)
        assert "redis.call('TIME')" in lua
        time_us = int(1e6 * now_s())
        self._client.hset("clock", mapping={"s": _EPOCH_S + time_us // 10**6, "us": time_us % 10**6})
        told = self._client.register_script(
            lua.replace("redis.call('TIME')", "redis.call('HMGET', 'clock', 's', 'us')")
        )
        self.n_asked += 1
        await asyncio.sleep(0.0005)
        reply: list[Any] = told(keys=keys, args=args)
        return reply


@dataclass(kw_only=True)
class Traffic:
    """What happened: when each call began, with how many tokens, by which process; and the most at once."""

    calls: list[tuple[float, int, int]] = field(default_factory=list)
    n_open: int = 0
    max_open: int = 0
    n_asked: int = 0

    def most_in_a_minute(self) -> tuple[int, int]:
        window: deque[tuple[float, int]] = deque()
        most_calls = most_tokens = n_tokens = 0
        for at_s, tokens, _ in sorted(self.calls):
            window.append((at_s, tokens))
            n_tokens += tokens
            while window[0][0] <= at_s - 60.0:
                n_tokens -= window.popleft()[1]
            most_calls, most_tokens = max(most_calls, len(window)), max(most_tokens, n_tokens)
        return most_calls, most_tokens

    def of(self, process: int) -> int:
        return sum(1 for _, _, each in self.calls if each == process)


def traffic(
    client: "synchronous.Redis",
    *,
    seconds: float,
    n_processes: int = 4,
    n_tasks: int = 12,
    sizes: Sequence[int] = (0,),
    call_s: float = 1.0,
    seed: int = 0,
    **limits: Any,
) -> Traffic:
    """Let every process call as fast as it may."""
    generator = np.random.default_rng(seed)
    found = Traffic()

    async def task(limiter: SharedLimiter, process: int, tokens: Iterator[int]) -> None:
        while True:
            n_tokens = next(tokens)
            await limiter.acquire(n_tokens)
            found.calls.append((now_s(), n_tokens, process))
            found.n_open += 1
            found.max_open = max(found.max_open, found.n_open)
            await asyncio.sleep(call_s * generator.uniform(0.5, 1.5))
            found.n_open -= 1
            limiter.release()

    async def act() -> None:
        states = [VirtualState(client) for _ in range(n_processes)]
        jitter = generator.random
        limiters = [SharedLimiter(state, "api", jitter=jitter, **limits) for state in states]
        tokens = cycle(sizes)
        tasks = [
            asyncio.create_task(task(limiter, i, tokens)) for i, limiter in enumerate(limiters) for _ in range(n_tasks)
        ]
        await asyncio.sleep(seconds)
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for limiter in limiters:
            await limiter.close()
        found.n_asked = sum(state.n_asked for state in states)

    run(act())
    return found


@pytest.mark.parametrize("rpm", [1, 6, 60, 600])
def test_no_minute_holds_more_requests_than_allowed_and_hardly_fewer(client: "synchronous.Redis", rpm: int) -> None:
    seconds = 150.0 if rpm > 6 else 900.0

    found = traffic(client, seconds=seconds, rpm=rpm)

    assert found.most_in_a_minute()[0] <= rpm
    assert len(found.calls) >= int(0.97 * rpm * seconds / 60.0)
    assert found.n_asked <= 45.0 * seconds


@pytest.mark.parametrize("sizes", [(500,), (20, 80, 40), (100, 2_000, 30, 900)])
def test_no_minute_holds_more_tokens_than_allowed_and_hardly_fewer(
    client: "synchronous.Redis", sizes: tuple[int, ...]
) -> None:
    found = traffic(client, seconds=150.0, tpm=50_000, sizes=sizes)

    assert found.most_in_a_minute()[1] <= 50_000
    assert sum(tokens for _, tokens, _ in found.calls) >= (0.985 - max(sizes) / 50_000) * 50_000 * 150.0 / 60.0


def test_all_limits_hold_at_once_and_every_process_has_its_share(client: "synchronous.Redis") -> None:
    found = traffic(client, seconds=150.0, rpm=600, tpm=50_000, concurrency=20, sizes=(40, 90, 120))

    assert found.most_in_a_minute()[0] <= 600
    assert found.most_in_a_minute()[1] <= 50_000
    assert found.max_open <= 20
    assert len(found.calls) >= 0.95 * 600 * 150.0 / 60.0
    for process in range(4):
        assert found.of(process) == pytest.approx(len(found.calls) / 4, rel=0.2)


@pytest.mark.parametrize("n_processes", [1, 3, 8, 11])
def test_places_are_never_exceeded_hardly_idle_and_shared(client: "synchronous.Redis", n_processes: int) -> None:
    found = traffic(client, seconds=15.0, n_processes=n_processes, n_tasks=10, concurrency=8, call_s=0.1)

    assert found.max_open == 8
    assert len(found.calls) >= 0.9 * 8 * 15.0 / 0.1
    for process in range(n_processes):
        assert found.of(process) == pytest.approx(len(found.calls) / n_processes, rel=0.35)


def test_a_latecomer_is_not_starved_by_who_holds_all_places(client: "synchronous.Redis") -> None:
    async def act() -> float:
        early, late = (SharedLimiter(VirtualState(client), "api", concurrency=4) for _ in range(2))

        async def keep_calling() -> None:
            while True:
                await early.acquire()
                await asyncio.sleep(1.0)
                early.release()

        tasks = [asyncio.create_task(keep_calling()) for _ in range(20)]
        await asyncio.sleep(10.0)
        waited_s = await late.acquire()
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return waited_s

    assert run(act()) <= 1.5


def test_the_order_within_a_process_is_that_of_asking(client: "synchronous.Redis") -> None:
    async def act() -> list[int]:
        limiter = SharedLimiter(VirtualState(client), "api", rpm=60)
        order: list[int] = []

        async def one(number: int) -> None:
            await limiter.acquire()
            order.append(number)
            limiter.release()

        tasks = [asyncio.create_task(one(number)) for number in range(12)]
        await asyncio.sleep(0.1)
        tasks[3].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await limiter.close()
        return order

    assert run(act()) == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]


def test_a_call_of_more_tokens_than_a_minute_allows_still_goes(client: "synchronous.Redis") -> None:
    async def act() -> float:
        limiter = SharedLimiter(VirtualState(client), "api", tpm=100)
        for _ in range(2):
            await limiter.acquire(5_000)
            limiter.release()
        await limiter.close()
        return now_s()

    assert 60.0 <= run(act()) <= 62.0


def test_a_burst_after_a_long_rest_is_no_larger_than_half_a_second_of_pace(client: "synchronous.Redis") -> None:
    async def act() -> int:
        limiter = SharedLimiter(VirtualState(client), "api", rpm=600)
        await limiter.acquire()
        limiter.release()
        await asyncio.sleep(600.0)
        began_s = now_s()
        times: list[float] = []

        async def one() -> None:
            await limiter.acquire()
            times.append(now_s() - began_s)

        await asyncio.gather(*(one() for _ in range(20)))
        await limiter.close()
        return sum(1 for at_s in times if at_s < 0.05)

    assert run(act()) <= 6


def test_places_of_a_process_that_fell_silent_come_back_after_its_lease(client: "synchronous.Redis") -> None:
    async def act() -> float:
        silent, waiting = (SharedLimiter(VirtualState(client), "api", concurrency=2) for _ in range(2))
        for _ in range(2):
            await silent.acquire()
        tasks = [asyncio.create_task(waiting.acquire()) for _ in range(2)]
        await asyncio.sleep(30.0)
        assert not any(each.done() for each in tasks)
        if silent._timer is not None:
            silent._timer.cancel()
        began_s = now_s()
        await asyncio.gather(*tasks)
        return now_s() - began_s

    assert 7.0 <= run(act()) <= 10.5


def test_what_a_provider_tells_one_process_binds_all_for_a_while(client: "synchronous.Redis") -> None:
    async def act() -> tuple[int, int, int]:
        told, other = (SharedLimiter(VirtualState(client), "api") for _ in range(2))
        times: list[float] = []

        async def keep_calling(limiter: SharedLimiter) -> None:
            while True:
                await limiter.acquire(100)
                times.append(now_s())
                await asyncio.sleep(0.1)
                limiter.release()

        tasks = [asyncio.create_task(keep_calling(each)) for each in (told, other) for _ in range(5)]
        await asyncio.sleep(10.0)
        told.adopt(rpm=600.0)
        told.adopt(rpm=610.0)
        await asyncio.sleep(1.0)
        n_free = len(times)
        await asyncio.sleep(55.0)
        n_told = len(times) - n_free
        await asyncio.sleep(50.0)
        n_before = len(times)
        await asyncio.sleep(10.0)
        n_after = len(times) - n_before
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for limiter in (told, other):
            await limiter.close()
        return n_free, n_told, n_after

    n_free, n_told, n_after = run(act())

    assert n_free > 950
    assert 0.95 * 550 <= n_told <= 560
    assert n_after > 950


def test_after_redis_was_away_for_all_places_in_flight_still_count(client: "synchronous.Redis") -> None:
    async def act() -> int:
        states = [VirtualState(client) for _ in range(2)]
        one, other = (SharedLimiter(state, "api", concurrency=3) for state in states)
        for _ in range(3):
            await one.acquire()
        tasks = [asyncio.create_task(other.acquire()) for _ in range(3)]
        await asyncio.sleep(5.0)
        for state in states:
            state.is_away = True
        await asyncio.sleep(60.0)
        states[1].is_away = False
        await asyncio.sleep(1.5)
        states[0].is_away = False
        await asyncio.sleep(30.0)
        n_too_many = sum(1 for each in tasks if each.done())
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return n_too_many

    assert run(act()) == 0


def test_tokens_given_back_serve_who_is_there_before_the_first_in_line(client: "synchronous.Redis") -> None:
    async def act() -> float:
        first, other = (SharedLimiter(VirtualState(client), "api", tpm=6_000) for _ in range(2))
        await other.acquire(3_000)
        waiting = asyncio.create_task(first.acquire(100))
        await asyncio.sleep(1.0)
        assert not waiting.done()
        other.correct(-3_000)
        waited_s = await other.acquire(100)
        await waiting
        return waited_s

    assert run(act()) < 0.2


def test_after_redis_lost_its_memory_places_in_flight_still_count(client: "synchronous.Redis") -> None:
    async def act() -> int:
        one, other = (SharedLimiter(VirtualState(client), "api", concurrency=3) for _ in range(2))
        for _ in range(3):
            await one.acquire()
        tasks = [asyncio.create_task(other.acquire()) for _ in range(3)]
        await asyncio.sleep(5.0)
        client.flushdb()
        await asyncio.sleep(30.0)
        n_too_many = sum(1 for each in tasks if each.done())
        one.release()
        await asyncio.sleep(1.0)
        n_granted = sum(1 for each in tasks if each.done())
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert n_granted == 1
        return n_too_many

    assert run(act()) == 0
