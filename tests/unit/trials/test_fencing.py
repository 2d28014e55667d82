"""Turns for work that may be taken away."""

import asyncio

import pytest

from convergence_cluster.domain.errors import LeaseLost
from convergence_cluster.metering.rate import RateLimiter
from convergence_cluster.trials.fencing import Fenced


def test_a_turn_that_comes_after_the_lease_is_lost_is_given_back() -> None:
    is_mine = True

    def still_mine() -> None:
        if not is_mine:
            raise LeaseLost

    async def act() -> float:
        nonlocal is_mine
        limiter = RateLimiter(concurrency=1)
        fenced = Fenced(limiter, still_mine)
        await fenced.acquire(10)
        fenced.correct(5)
        fenced.release()
        is_mine = False
        with pytest.raises(LeaseLost):
            await fenced.acquire(10)
        return await asyncio.wait_for(limiter.acquire(), 1.0)

    assert asyncio.run(act()) == pytest.approx(0.0, abs=0.1)


def test_a_pause_reaches_everybody() -> None:
    async def act() -> float:
        limiter = RateLimiter()
        Fenced(limiter, lambda: None).pause(0.05)
        return await limiter.acquire()

    assert asyncio.run(act()) >= 0.04
