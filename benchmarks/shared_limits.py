"""The limits that a cluster shares: `python -m benchmarks.shared_limits`.

First what a turn costs this process and Redis, then how much of a provider's limit four processes use together, and how
often they are refused, against a server on this machine that counts strictly: no 60 seconds hold more than allowed.
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from convergence_cluster.metering.rate import RateLimiter
from convergence_cluster.metering.shared_rate import SharedLimiter
from convergence_cluster.metering.shared_state import SharedState
from convergence_cluster.trials.protocols import Limiter
from tests.loopback_api import Caller, loopback_api
from tests.redis_server import RedisServer, redis_server

RPM = 600
TPM = 50_000
SIZES = (20, 60, 83, 100, 150)
"""Tokens of the calls; 83 on average, so that both limits bind about equally."""
TARGET_USED = 0.95
TARGET_REFUSED = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a turn costs."""

    cpu_us: float
    """Of this process, for acquire and release together."""
    turns_per_s: float
    questions_per_turn: float
    """Scripts that Redis ran."""
    redis_us: float
    """CPU of Redis for each turn."""


async def _turns(limiter: Limiter, n_tasks: int, seconds: float, call_s: float) -> int:
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + seconds
    n_turns = 0

    async def one() -> None:
        nonlocal n_turns
        while loop.time() < ends_s:
            await limiter.acquire(100)
            n_turns += 1
            if call_s or n_turns % 1000 == 0:
                await asyncio.sleep(call_s * (0.5 + (0.618 * n_turns) % 1.0))
            limiter.release()

    await asyncio.gather(*(one() for _ in range(n_tasks)))
    return n_turns


def cost(redis: RedisServer, limits: dict[str, Any] | None, *, n_tasks: int, call_s: float, seconds: float) -> Cost:
    """Measure turns of a shared limiter, or, for None, of one process's own without limits."""

    async def act() -> Cost:
        client = Redis.from_url(redis.url)
        shared = SharedState(client)
        limiter = RateLimiter() if limits is None else SharedLimiter(shared, "cost", **limits)
        await limiter.acquire()
        limiter.release()
        before, began_s, began_cpu_s = await _redis_use(client), time.perf_counter(), time.process_time()
        n_turns = await _turns(limiter, n_tasks, seconds, call_s)
        cpu_s, wall_s = time.process_time() - began_cpu_s, time.perf_counter() - began_s
        after = await _redis_use(client)
        if isinstance(limiter, SharedLimiter):
            await limiter.close()
        await shared.close()
        await client.aclose()
        return Cost(
            cpu_us=1e6 * cpu_s / n_turns,
            turns_per_s=n_turns / wall_s,
            questions_per_turn=(after[0] - before[0]) / n_turns,
            redis_us=1e6 * (after[1] - before[1]) / n_turns,
        )

    return asyncio.run(act())


async def _redis_use(client: "Redis") -> tuple[float, float]:
    commands = await client.info("commandstats")
    cpu = await client.info("cpu")
    return commands.get("cmdstat_evalsha", {}).get("calls", 0), cpu["used_cpu_sys"] + cpu["used_cpu_user"]


def costs(redis: RedisServer, seconds: float) -> None:
    """Print what a turn costs."""
    rows: list[tuple[str, dict[str, Any] | None, int, float]] = [
        ("one process's own limiter, no limits", None, 64, 0.0),
        ("shared, no limits", {}, 64, 0.0),
        ("shared, no limits, calls of 50 ms", {}, 64, 0.05),
        ("shared, requests, tokens and places, never full", {"rpm": 1e8, "tpm": 1e10, "concurrency": 1000}, 64, 0.05),
        ("shared, the same, 1 call at a time", {"rpm": 1e8, "tpm": 1e10, "concurrency": 1000}, 1, 0.05),
        ("shared, 32 places for 64 callers", {"concurrency": 32}, 64, 0.05),
        ("shared, 600 requests a minute for 64 callers", {"rpm": 600}, 64, 0.05),
    ]
    print("| limiter | turns/s | CPU us a turn | questions a turn | questions/s | Redis CPU us a turn |")
    print("|---|---|---|---|---|---|")
    for name, limits, n_tasks, call_s in rows:
        found = cost(redis, limits, n_tasks=n_tasks, call_s=call_s, seconds=seconds)
        print(
            f"| {name} | {found.turns_per_s:,.0f} | {found.cpu_us:.1f} | {found.questions_per_turn:.3f} "
            f"| {found.questions_per_turn * found.turns_per_s:.0f} | {found.redis_us:.1f} |",
            flush=True,
        )


def throughput(redis: RedisServer, *, n_processes: int, seconds: float) -> None:
    """Print how much of a limit several processes use, and how often they are refused."""
    with loopback_api(rpm=RPM, tpm=TPM) as api:
        caller = Caller(
            redis_url=redis.url,
            port=api.port,
            key="throughput",
            rpm=RPM,
            tpm=TPM,
            concurrency=64,
            tokens=SIZES,
            call_s=0.5,
            seconds=seconds,
        )
        calling = [caller.start() for _ in range(n_processes)]
        reports = [each.wait(seconds + 60.0) for each in calling]
        span_min = (api.arrivals[-1][0] - api.arrivals[0][0]) / 60.0
        n_calls, n_tokens = len(api.arrivals), sum(tokens for _, tokens in api.arrivals)
        most_calls, most_tokens = api.most_in(60.0)
    used = max(n_calls / (RPM * span_min), n_tokens / (TPM * span_min))
    refused = api.n_refused / (n_calls + api.n_refused)
    shares = ", ".join(f"{report['n_calls']:.0f}" for report in reports)
    print(f"\n{n_processes} processes, {RPM} requests and {TPM:,} tokens a minute, {60.0 * span_min:.0f} s:")
    print(f"  {n_calls / span_min:.0f} calls and {n_tokens / span_min:,.0f} tokens a minute; calls of each: {shares}")
    print(f"  fullest minute: {most_calls} calls, {most_tokens:,} tokens")
    print(f"  of the tighter limit used: {used:.1%} (target: at least {TARGET_USED:.0%})")
    print(f"  refused: {refused:.2%} (target: at most {TARGET_REFUSED:.0%})")


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=120.0, help="of calling at the limit")
    parser.add_argument("--cost-seconds", type=float, default=3.0, help="for each row of costs")
    options = parser.parse_args(arguments)
    with redis_server() as redis:
        costs(redis, options.cost_seconds)
        throughput(redis, n_processes=options.processes, seconds=options.seconds)


if __name__ == "__main__":
    main()
