"""Limits that several processes keep together, measured where the calls arrive."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.loopback_api import Caller, LoopbackApi, loopback_api
from tests.redis_server import RedisServer, redis_server

ARRIVAL_S = 0.25
"""How much later than its turn a call may arrive on a busy machine; the limiter allows for as much."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    with loopback_api() as server:
        yield server


def most_allowed(per_minute: float, seconds: float, largest: int = 1) -> float:
    """Return what any window may hold so that a minute never holds more than `per_minute`."""
    return largest + (per_minute - (largest if largest > 1 else 0)) * (seconds + 0.5 + ARRIVAL_S) / 60.75


def test_no_window_holds_more_requests_than_all_may_send(redis: RedisServer, api: LoopbackApi) -> None:
    caller = Caller(redis_url=redis.url, port=api.port, key="requests", rpm=1800, seconds=5.0)

    calling = [caller.start() for _ in range(3)]
    reports = [each.wait() for each in calling]

    for seconds in (0.5, 1.0, 2.0, 4.0):
        assert api.most_in(seconds)[0] <= most_allowed(1800, seconds)
    span_s = api.arrivals[-1][0] - api.arrivals[0][0]
    assert len(api.arrivals) >= 0.95 * 1800 / 60 * span_s
    assert min(report["n_calls"] for report in reports) >= 0.5 * len(api.arrivals) / 3


def test_no_window_holds_more_tokens_than_all_may_use(redis: RedisServer, api: LoopbackApi) -> None:
    tpm = 300_000
    caller = Caller(redis_url=redis.url, port=api.port, key="tokens", tpm=tpm, tokens=(100, 900, 20, 400), seconds=5.0)

    calling = [caller.start() for _ in range(3)]
    for each in calling:
        each.wait()

    for seconds in (0.5, 1.0, 2.0, 4.0):
        assert api.most_in(seconds)[1] <= most_allowed(tpm, seconds, largest=900)
    span_s = api.arrivals[-1][0] - api.arrivals[0][0]
    assert sum(tokens for _, tokens in api.arrivals) >= 0.95 * tpm / 60 * span_s


def test_tokens_that_were_not_used_serve_others(redis: RedisServer, api: LoopbackApi) -> None:
    caller = Caller(
        redis_url=redis.url, port=api.port, key="unused", tpm=60_000, tokens=(1_000,), used_share=0.1, seconds=4.0
    )

    calling = [caller.start() for _ in range(2)]
    for each in calling:
        each.wait()

    used = 0.1 * sum(tokens for _, tokens in api.arrivals)
    assert used >= 0.8 * 1_000 * 4.0
    assert used <= most_allowed(60_000, 4.0, largest=1_000) + 2 * 16 * 100


def test_places_in_flight_are_shared_and_kept_busy(redis: RedisServer, api: LoopbackApi) -> None:
    caller = Caller(redis_url=redis.url, port=api.port, key="places", concurrency=6, call_s=0.05, seconds=4.0)

    calling = [caller.start() for _ in range(3)]
    reports = [each.wait() for each in calling]

    assert api.max_open == 6
    assert len(api.arrivals) >= 0.6 * 6 * 4.0 / 0.05
    assert min(report["n_calls"] for report in reports) >= 0.5 * len(api.arrivals) / 3


def test_the_tightest_of_different_limits_holds(redis: RedisServer, api: LoopbackApi) -> None:
    loose = Caller(redis_url=redis.url, port=api.port, key="tightest", rpm=60_000, concurrency=50, seconds=4.0)
    tight = Caller(redis_url=redis.url, port=api.port, key="tightest", rpm=600, concurrency=2, seconds=4.0)
    without = Caller(redis_url=redis.url, port=api.port, key="tightest", seconds=1.5, call_s=0.02)

    first = tight.start()
    time.sleep(1.0)
    others = [loose.start(), without.start()]
    for each in [first, *others]:
        each.wait()

    assert api.max_open <= 2
    assert api.most_in(3.0)[0] <= most_allowed(600, 3.0)


def test_the_places_of_a_killed_process_come_back(redis: RedisServer, api: LoopbackApi) -> None:
    hogging = Caller(redis_url=redis.url, port=api.port, key="killed", concurrency=4, call_s=60.0, seconds=60.0).start()
    while api.n_open < 4:
        time.sleep(0.02)

    hogging.kill()
    began_s = time.monotonic()
    Caller(redis_url=redis.url, port=api.port, key="killed", concurrency=4, n_calls=4, n_parallel=4).start().wait()

    first_s = api.arrivals[4][0] - began_s
    assert 4.0 < first_s < 16.0


def test_a_pause_holds_back_everybody(redis: RedisServer, api: LoopbackApi) -> None:
    asking = Caller(
        redis_url=redis.url,
        port=api.port,
        key="pause",
        n_parallel=1,
        n_calls=20,
        call_s=0.1,
        pause_after=20,
        pause_s=2.0,
    )
    free = Caller(redis_url=redis.url, port=api.port, key="pause", n_parallel=4, call_s=0.01, seconds=6.0)
    limited = Caller(redis_url=redis.url, port=api.port, key="pause", rpm=60_000, call_s=0.01, seconds=6.0)

    calling = [free.start(), limited.start(), asking.start()]
    for each in calling:
        each.wait()

    times = [at_s for at_s, _ in api.arrivals]
    longest_s = max(later - earlier for earlier, later in pairwise(times))
    assert longest_s >= 2.0 - 0.25 - 0.2


def test_while_redis_is_away_nobody_calls() -> None:
    limits: tuple[dict[str, float], ...] = ({}, {"rpm": 60_000.0}, {"concurrency": 8})
    with redis_server() as redis, ExitStack() as stack:
        apis = [stack.enter_context(loopback_api()) for _ in limits]
        calling = [
            Caller(
                **{"redis_url": redis.url, "port": api.port, "key": f"away {own}", **own},  # type: ignore[arg-type]  # by name
                n_parallel=4,
                call_s=0.01,
                seconds=9.0,
            ).start()
            for api, own in zip(apis, limits, strict=True)
            for _ in range(2)
        ]
        while any(len(api.arrivals) < 20 for api in apis):
            time.sleep(0.02)

        redis.kill()
        time.sleep(2.0)
        before = [len(api.arrivals) for api in apis]
        time.sleep(1.0)
        during = [len(api.arrivals) for api in apis]
        redis.start()
        for each in calling:
            each.wait()

    assert during == before
    assert all(len(api.arrivals) > n for api, n in zip(apis, before, strict=True))
    assert apis[2].max_open <= 8


def test_a_frozen_redis_holds_everybody_until_it_goes_on(api: LoopbackApi) -> None:
    with redis_server() as redis:
        caller = Caller(redis_url=redis.url, port=api.port, rpm=60_000, n_parallel=4, call_s=0.01, seconds=6.0)
        calling = [caller.start() for _ in range(2)]
        while len(api.arrivals) < 20:
            time.sleep(0.02)

        redis.pause()
        time.sleep(0.5)
        n_before = len(api.arrivals)
        time.sleep(2.5)
        n_during = len(api.arrivals) - n_before
        redis.resume()
        for each in calling:
            each.wait()
        n_after = len(api.arrivals) - n_before

    assert n_during == 0
    assert n_after > 0


@pytest.mark.parametrize("shift_s", [3600.0, -3600.0])
def test_a_worker_whose_clock_is_wrong_by_an_hour_changes_nothing(
    redis: RedisServer, api: LoopbackApi, shift_s: float
) -> None:
    caller = Caller(
        redis_url=redis.url, port=api.port, key=f"shifted{shift_s}", rpm=1800, concurrency=5, call_s=0.02, seconds=4.0
    )

    calling = [caller.start(), replace(caller, clock_shift_s=shift_s).start()]
    reports = [each.wait() for each in calling]

    assert api.max_open <= 5
    assert api.most_in(2.0)[0] <= most_allowed(1800, 2.0)
    assert min(report["n_calls"] for report in reports) >= 0.25 * len(api.arrivals)
