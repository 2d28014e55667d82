"""Pacing."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cluster.metering.rate import Bucket, RateLimiter
from tests.unit.metering.virtual_time import now_s, run


async def starts(limiter: RateLimiter, n_calls: int, *, call_s: float = 0.0, n_tokens: int = 0) -> list[float]:
    started: list[float] = []

    async def one() -> None:
        await limiter.acquire(n_tokens)
        started.append(now_s())
        await asyncio.sleep(call_s)
        limiter.release()

    await asyncio.gather(*(one() for _ in range(n_calls)))
    return sorted(started)


def most_in_a_minute(started: list[float]) -> int:
    return max(sum(1 for other in started if 0.0 <= other - first < 60.0 - 1e-6) for first in started)


@pytest.mark.parametrize("rpm", [1, 6, 60, 500])
def test_no_minute_holds_more_requests_than_allowed(rpm: int) -> None:
    started = run(starts(RateLimiter(rpm=rpm), 3 * rpm))

    assert most_in_a_minute(started) <= rpm
    assert started[-1] <= 60.0 * 3 * 1.05


@given(
    gaps_s=st.lists(st.floats(min_value=0.0, max_value=30.0), min_size=1, max_size=60),
    rpm=st.integers(min_value=1, max_value=120),
)
@settings(deadline=None)
def test_no_pattern_of_arrivals_beats_the_limit(gaps_s: list[float], rpm: int) -> None:
    bucket = Bucket(rpm, burst=max(1.0, rpm / 60.0))
    now = 0.0
    started: list[float] = []

    for gap_s in gaps_s:
        now += gap_s
        started.append(now + bucket.take(1.0, now))

    assert most_in_a_minute(sorted(started)) <= rpm


def test_no_minute_holds_more_tokens_than_allowed() -> None:
    started = run(starts(RateLimiter(tpm=60_000), 200, n_tokens=1_000))

    assert most_in_a_minute(started) * 1_000 <= 60_000 + 1_000
    assert started[-1] <= 240.0


def test_a_call_of_more_tokens_than_a_minute_allows_still_goes() -> None:
    assert len(run(starts(RateLimiter(tpm=100), 2, n_tokens=5_000))) == 2


def test_tokens_that_were_not_used_are_given_back() -> None:
    async def act(used: int) -> float:
        limiter = RateLimiter(tpm=6_000)
        for _ in range(20):
            await limiter.acquire(1_000)
            limiter.release()
            limiter.correct(used - 1_000)
        return now_s()

    assert run(act(100)) < 0.3 * run(act(1_000))


def test_no_more_calls_are_in_flight_than_allowed() -> None:
    started = run(starts(RateLimiter(concurrency=3), 9, call_s=10.0))

    assert started == pytest.approx([0.0] * 3 + [10.0] * 3 + [20.0] * 3)


def test_a_pause_holds_back_everybody_and_counts_as_waiting() -> None:
    async def act() -> tuple[list[float], float]:
        limiter = RateLimiter()
        limiter.pause(30.0)
        limiter.pause(5.0)
        started = await starts(limiter, 4)
        limiter.pause(7.0)
        return started, await limiter.acquire()

    started, waited_s = run(act())

    assert started == pytest.approx([30.0] * 4)
    assert waited_s == pytest.approx(7.0)


def test_a_call_cancelled_while_it_waits_frees_its_place() -> None:
    async def act() -> float:
        limiter = RateLimiter(concurrency=1)
        limiter.pause(50.0)
        waiting = asyncio.create_task(limiter.acquire())
        await asyncio.sleep(1.0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return await limiter.acquire()

    assert run(act()) == pytest.approx(49.0)


def test_without_limits_nobody_waits() -> None:
    assert run(starts(RateLimiter(), 1_000)) == [0.0] * 1_000


def test_what_a_waiting_call_needs_is_taken_when_it_goes_and_not_before() -> None:
    """Calls in line hold nothing: the whole minute is for those that are on the wire."""

    async def act() -> float:
        limiter = RateLimiter(tpm=6_000)

        async def one() -> None:
            await limiter.acquire(1_000)
            await asyncio.sleep(0.1)
            limiter.release()
            limiter.correct(100 - 1_000)

        await asyncio.gather(*(one() for _ in range(60)))
        return now_s()

    assert run(act()) < 1.2 * 60.0 * 1_000 / 6_000 + 60.0


def test_a_pace_that_the_provider_names_is_kept_for_a_minute_where_nobody_set_one() -> None:
    async def act() -> tuple[list[float], list[float]]:
        limiter = RateLimiter()
        limiter.adopt(rpm=60)
        paced = await starts(limiter, 10)
        await asyncio.sleep(61.0)
        return paced, await starts(limiter, 10)

    paced, free = run(act())

    assert paced[-1] - paced[0] == pytest.approx(9.0, rel=0.05)
    assert free[-1] == free[0]


def test_a_pace_that_the_study_sets_goes_before_what_the_provider_names() -> None:
    async def act() -> list[float]:
        limiter = RateLimiter(rpm=600, tpm=1_000_000)
        limiter.adopt(rpm=6, tpm=6)
        return await starts(limiter, 20, n_tokens=10)

    assert run(act())[-1] < 3.0


def test_the_same_pace_named_again_gives_no_new_burst() -> None:
    async def act() -> float:
        limiter = RateLimiter()
        for _ in range(30):
            limiter.adopt(rpm=60.5)
            await limiter.acquire()
            limiter.release()
        return now_s()

    assert run(act()) == pytest.approx(29.0, rel=0.05)
