"""Circuits that several processes share."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from redis.asyncio import Redis

from convergence_cluster.domain.calls import Answer, Request, TestCase
from convergence_cluster.domain.errors import InfeasibleError, TransientError
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.metering.breaker import BreakerPolicy, Breakers, Guarded
from convergence_cluster.metering.shared_state import SharedState
from tests.redis_server import RedisServer, redis_server

POLICY = BreakerPolicy(n_failures=3, cool_down_s=0.6, cool_down_max_s=2.0, probe_s=2.0, wait_s=5.0)
REQUEST = Request(configuration={"model": "m"}, case=TestCase(id=CaseId("c"), input={}), idempotency_key="k:0")
OUTAGE = TransientError("HTTP 503", is_outage=True)


class Api:
    """Answers or fails as told, and counts."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.n_calls = 0
        self.call_s = 0.0

    async def send(self, request: Request) -> Answer:
        self.n_calls += 1
        error = self.error
        await asyncio.sleep(self.call_s)
        if error is not None:
            raise error
        return Answer(text="yes", result="yes", raw="yes")

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@asynccontextmanager
async def workers(
    redis: RedisServer, n: int, api: Api, name: str, policy: BreakerPolicy = POLICY
) -> AsyncIterator[tuple[list[Guarded], list[SharedState]]]:
    """Build `n` workers that know of each other only through Redis."""
    clients = [Redis.from_url(redis.url) for _ in range(n)]
    shared = [SharedState(client) for client in clients]
    try:
        yield [Guarded(api, Breakers(each, name, policy)) for each in shared], shared
    finally:
        for each in shared:
            await each.close()
        for client in clients:
            await client.aclose()


async def n_commands(redis: RedisServer) -> int:
    async with Redis.from_url(redis.url) as client:
        return int((await client.info("stats"))["total_commands_processed"])


async def fails(send: Callable[[Request], Coroutine[Any, Any, Answer]], n_times: int) -> None:
    for _ in range(n_times):
        with pytest.raises(TransientError):
            await send(REQUEST)


async def settled() -> None:
    await asyncio.sleep(0.4)


def test_failures_of_different_workers_open_one_circuit(redis: RedisServer) -> None:
    async def act() -> tuple[int, str]:
        api = Api()
        async with workers(redis, 3, api, "opens", replace(POLICY, cool_down_s=30.0, wait_s=0.2)) as (guarded, _):
            api.error = OUTAGE
            for each in guarded:
                await fails(each.send, 1)
            await settled()
            n_before = api.n_calls
            with pytest.raises(TransientError) as refused:
                await guarded[0].send(REQUEST)
            return api.n_calls - n_before, refused.value.kind

    assert asyncio.run(act()) == (0, "unavailable")


@pytest.mark.parametrize(
    "error", [TransientError("HTTP 429", retry_after_s=0.1), InfeasibleError("HTTP 400"), TransientError("no message")]
)
def test_an_api_that_refuses_is_not_away(redis: RedisServer, error: Exception) -> None:
    async def act() -> int:
        api = Api()
        async with workers(redis, 1, api, f"refuses {error}") as ([guarded], _):
            api.error = error
            for _ in range(10):
                with pytest.raises(type(error)):
                    await guarded.send(REQUEST)
            return api.n_calls

    assert asyncio.run(act()) == 10


def test_an_answer_to_any_worker_ends_the_row(redis: RedisServer) -> None:
    async def act() -> int:
        api = Api()
        async with workers(redis, 2, api, "row") as ([one, other], _):
            await one.send(REQUEST)
            await other.send(REQUEST)
            for _ in range(4):
                api.error = OUTAGE
                await fails(one.send, 2)
                await settled()
                api.error = None
                await other.send(REQUEST)
                await settled()
            return api.n_calls

    assert asyncio.run(act()) == 14


def test_half_open_lets_one_call_through_in_the_whole_cluster(redis: RedisServer) -> None:
    async def act() -> tuple[int, int]:
        api = Api()
        async with workers(redis, 4, api, "half-open") as (guarded, _):
            api.error = OUTAGE
            await fails(guarded[0].send, 3)
            api.error, api.call_s = None, 1.0
            n_before = api.n_calls
            waiting = [asyncio.create_task(each.send(REQUEST)) for each in guarded for _ in range(8)]
            await asyncio.sleep(1.4)
            n_probes = api.n_calls - n_before
            await asyncio.gather(*waiting)
            return n_probes, api.n_calls - n_before

    assert asyncio.run(act()) == (1, 32)


def test_the_cool_down_grows_with_each_failed_probe_up_to_its_cap(redis: RedisServer) -> None:
    async def act() -> list[float]:
        loop = asyncio.get_running_loop()
        api = Api()
        times: list[float] = []
        async with workers(redis, 1, api, "grows", replace(POLICY, cool_down_s=0.3, cool_down_max_s=1.0)) as (
            [guarded],
            _,
        ):
            api.error = OUTAGE
            await fails(guarded.send, 3)
            times.append(loop.time())
            for _ in range(4):
                await fails(guarded.send, 1)
                times.append(loop.time())
        return [later - earlier for earlier, later in pairwise(times)]

    waits_s = asyncio.run(act())

    for waited_s, expected_s in zip(waits_s, (0.3, 0.6, 1.0, 1.0), strict=True):
        assert expected_s - 0.05 <= waited_s <= expected_s + 0.5


def test_a_probe_that_dies_or_is_given_up_leaves_its_place_to_another(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        api = Api()
        async with workers(redis, 2, api, "dies") as ([one, other], [shared, _]):
            api.error = OUTAGE
            await fails(one.send, 3)
            api.error, api.call_s = None, 60.0
            dying = asyncio.create_task(one.send(REQUEST))
            await asyncio.sleep(1.0)
            assert api.n_calls == 4
            monkeypatch.setattr(shared, "ask", _never)  # it can say nothing any more
            dying.cancel()
            await asyncio.sleep(0.0)
            api.call_s = 0.0
            began_s = loop.time()
            await other.send(REQUEST)
            after_death_s = loop.time() - began_s

        async with workers(redis, 2, api, "given up") as ([one, other], _):
            api.error = OUTAGE
            await fails(one.send, 3)
            api.error, api.call_s = None, 60.0
            leaving = asyncio.create_task(one.send(REQUEST))
            await asyncio.sleep(1.0)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            api.call_s = 0.0
            began_s = loop.time()
            await other.send(REQUEST)
            return after_death_s, loop.time() - began_s

    after_death_s, after_leaving_s = asyncio.run(act())

    assert 0.8 <= after_death_s <= 3.0
    assert after_leaving_s <= 0.6


async def _never(*_: object) -> list[Any]:
    await asyncio.sleep(3600.0)
    return []


def test_a_closed_circuit_costs_no_round_trip_a_call(redis: RedisServer) -> None:
    async def act() -> tuple[int, int]:
        api = Api()
        async with workers(redis, 1, api, "closed") as ([guarded], _):
            await guarded.send(REQUEST)
            before = await n_commands(redis)
            loop = asyncio.get_running_loop()
            ends_s = loop.time() + 1.0
            while loop.time() < ends_s:
                await guarded.send(REQUEST)
            return await n_commands(redis) - before, api.n_calls

    n_commands_used, n_calls = asyncio.run(act())

    assert n_calls > 1_000
    # A read is EVALSHA with TIME and HMGET inside, which Redis counts too; the counting itself takes a few.
    assert n_commands_used <= 5 * 3 + 8


def test_without_redis_a_circuit_knows_what_it_knew() -> None:
    async def act(server: RedisServer) -> tuple[int, str, str]:
        api = Api()
        async with workers(server, 2, api, "away", replace(POLICY, wait_s=1.0)) as (guarded, _):
            api.error = OUTAGE
            await fails(guarded[0].send, 3)
            await guarded[1]._breakers.of("other").admit()
            await settled()
            server.kill()
            await asyncio.sleep(1.0)
            with pytest.raises(TransientError) as refused:
                await guarded[0].send(REQUEST)
            api.error = None
            closed = await guarded[1].send(replace(REQUEST, configuration={"model": "other"}))
            return api.n_calls, refused.value.kind, closed.text

    with redis_server() as server:
        assert asyncio.run(act(server)) == (4, "unavailable", "yes")


_PROBERS = """
import asyncio, sys
from redis.asyncio import Redis
from tests.integration.test_breaker import POLICY
from convergence_cluster.metering.breaker import Breaker
from convergence_cluster.metering.shared_state import SharedState

async def main():
    async with Redis.from_url(sys.argv[1]) as client:
        shared = SharedState(client)
        breaker = Breaker(shared, "processes", POLICY)
        for _ in range(3):
            breaker.failed()
        await asyncio.sleep(1.5)
        waiting = [asyncio.wait_for(breaker.admit(), 1.0) for _ in range(5)]
        tokens = await asyncio.gather(*waiting, return_exceptions=True)
        print(sum(1 for token in tokens if isinstance(token, str) and token))
        await shared.close()

asyncio.run(main())
"""


def test_of_several_processes_one_probes(redis: RedisServer) -> None:
    async def one() -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _PROBERS, redis.url, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await process.communicate()
        return int(out.splitlines()[-1])

    async def act() -> list[int]:
        return await asyncio.gather(*(one() for _ in range(3)))

    assert sorted(asyncio.run(act())) == [0, 0, 1]
