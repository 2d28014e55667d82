"""A chat server that keeps to a limit of requests and of tokens, and writes down what it refused.

Two ways to keep a limit, both exact: `sliding` lets no 60 seconds hold more; `bucket` fills evenly and holds
`burst_s` seconds' worth, and tells in OpenAI's headers what is left of it.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import deque
from dataclasses import dataclass, field

from aiohttp import web

_MINUTE_S = 60.0
_PROMPT_TOKENS = 30


@dataclass(kw_only=True)
class Sliding:
    """No 60 seconds hold more than `per_minute`."""

    per_minute: float
    _taken: deque[tuple[float, float]] = field(default_factory=deque)
    _sum: float = 0.0

    def wait_s(self, n_units: float, now_s: float) -> float:
        """Return for how long there is no room."""
        while self._taken and self._taken[0][0] <= now_s - _MINUTE_S:
            self._sum -= self._taken.popleft()[1]
        return 0.0 if self._sum + n_units <= self.per_minute else self._taken[0][0] + _MINUTE_S - now_s

    def take(self, n_units: float, now_s: float) -> None:
        """Count what is let through."""
        self._taken.append((now_s, n_units))
        self._sum += n_units

    def headers(self, _name: str, _now_s: float) -> dict[str, str]:
        """Return what is told of what is left."""
        return {}


@dataclass(kw_only=True)
class Filling:
    """A bucket that fills at `per_minute` and holds `burst_s` seconds' worth."""

    per_minute: float
    burst_s: float
    _level: float = -1.0
    _at_s: float = 0.0

    @property
    def capacity(self) -> float:
        """What a full bucket holds."""
        return self.per_minute * self.burst_s / _MINUTE_S

    def wait_s(self, n_units: float, now_s: float) -> float:
        """Return for how long there is no room."""
        filled = self._level + (now_s - self._at_s) * self.per_minute / _MINUTE_S
        self._level = self.capacity if self._level < 0.0 else min(self.capacity, filled)
        self._at_s = now_s
        return max(0.0, n_units - self._level) * _MINUTE_S / self.per_minute

    def take(self, n_units: float, now_s: float) -> None:
        """Count what is let through."""
        del now_s
        self._level -= n_units

    def headers(self, name: str, now_s: float) -> dict[str, str]:
        """Return what is told of what is left."""
        self.wait_s(0.0, now_s)
        full_s = (self.capacity - self._level) * _MINUTE_S / self.per_minute
        return {
            f"x-ratelimit-limit-{name}": f"{self.capacity:.0f}",
            f"x-ratelimit-remaining-{name}": f"{max(0.0, self._level):.0f}",
            f"x-ratelimit-reset-{name}": f"{full_s * 1000:.0f}ms",
        }


class LimitedServer:
    """Answers after `call_s` seconds, with a random length of answer."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._windows: dict[str, Sliding | Filling] = {}
        for name, per_minute in (("requests", options.rpm), ("tokens", options.tpm)):
            strict: Sliding | Filling = Sliding(per_minute=per_minute)
            filling = Filling(per_minute=per_minute, burst_s=options.burst_s)
            self._windows[name] = strict if options.kind == "sliding" else filling
        self._chance = random.Random(7)
        self._mean_tokens = options.mean_tokens
        self._call_s = options.call_s
        self.books = {"accepted": 0, "refused": 0, "tokens": 0, "first_s": 0.0, "last_s": 0.0}

    async def chat(self, request: web.Request) -> web.Response:
        """Answer, or refuse what goes over a limit."""
        body = await request.json()
        now_s = time.monotonic()
        spread = self._mean_tokens - _PROMPT_TOKENS
        n_output = self._chance.randint(spread // 2, spread + spread // 2)
        needed = {"requests": 1.0, "tokens": float(_PROMPT_TOKENS + n_output)}
        wait_s = max(window.wait_s(needed[name], now_s) for name, window in self._windows.items())
        if wait_s > 0.0:
            self.books["refused"] += 1
            error = {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}
            headers = {"retry-after-ms": f"{wait_s * 1000:.0f}", **self._told(now_s)}
            return web.json_response({"error": error}, status=429, headers=headers)
        for name, window in self._windows.items():
            window.take(needed[name], now_s)
        self._note(now_s, int(needed["tokens"]))
        headers = self._told(now_s)
        await asyncio.sleep(self._call_s)
        message = {"role": "assistant", "content": "yes" if body["model"] == "good" else "no"}
        usage = {"prompt_tokens": _PROMPT_TOKENS, "completion_tokens": n_output}
        document = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
        return web.json_response(document, headers=headers)

    async def told(self, _request: web.Request) -> web.Response:
        """Return the books."""
        return web.json_response(self.books)

    def _told(self, now_s: float) -> dict[str, str]:
        told: dict[str, str] = {}
        for name, window in self._windows.items():
            told |= window.headers(name, now_s)
        return told

    def _note(self, now_s: float, n_tokens: int) -> None:
        self.books["first_s"] = self.books["first_s"] or now_s
        self.books["last_s"] = now_s
        self.books["accepted"] += 1
        self.books["tokens"] += n_tokens


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare what server and benchmark have in common."""
    parser.add_argument("--kind", choices=["sliding", "bucket"], default="sliding")
    parser.add_argument("--rpm", type=float, default=600.0)
    parser.add_argument("--tpm", type=float, default=50_000.0)
    parser.add_argument("--burst-s", type=float, default=60.0, help="of the bucket")
    parser.add_argument("--mean-tokens", type=int, default=80, help="of a call, input and output")
    parser.add_argument("--call-s", type=float, default=0.3, help="how long an answer takes")


async def _serve(options: argparse.Namespace) -> None:
    server = LimitedServer(options)
    application = web.Application()
    application.router.add_post("/v1/chat/completions", server.chat)
    application.router.add_get("/books", server.told)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(json.dumps({"port": runner.addresses[0][1]}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    described = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add_options(described)
    asyncio.run(_serve(described.parse_args()))
