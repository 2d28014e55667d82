"""An API on loopback that writes down when each call arrives and how many are open, and processes that call it.

The wire is a line `tokens seconds` and a line back, so that what is measured is the pace and not HTTP.
"""

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from convergence_cluster.metering.shared_rate import SharedLimiter
from convergence_cluster.metering.shared_state import SharedState

ROOT = Path(__file__).parents[1]


@dataclass(kw_only=True)
class LoopbackApi:
    """What arrived, in the order of arrival."""

    port: int = 0
    rpm: float | None = None
    """Enforced strictly: no 60 seconds hold more accepted calls."""
    tpm: float | None = None
    arrivals: list[tuple[float, int]] = field(default_factory=list)
    """Time by `time.monotonic` and tokens of each accepted call."""
    n_refused: int = 0
    n_open: int = 0
    max_open: int = 0
    _window: deque[tuple[float, int]] = field(default_factory=deque)
    _window_tokens: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                tokens, seconds = line.split()
                writer.write(await self._one(int(tokens), float(seconds)))
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, n_tokens: int, seconds: float) -> bytes:
        now_s = time.monotonic()
        if self._is_over(now_s, n_tokens):
            self.n_refused += 1
            return b"429\n"
        self.arrivals.append((now_s, n_tokens))
        self.n_open += 1
        self.max_open = max(self.max_open, self.n_open)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.n_open -= 1
        return b"200\n"

    def _is_over(self, now_s: float, n_tokens: int) -> bool:
        while self._window and self._window[0][0] <= now_s - 60.0:
            self._window_tokens -= self._window.popleft()[1]
        if self.rpm is not None and len(self._window) + 1 > self.rpm:
            return True
        if self.tpm is not None and self._window_tokens + n_tokens > self.tpm:
            return True
        self._window.append((now_s, n_tokens))
        self._window_tokens += n_tokens
        return False

    def most_in(self, seconds: float) -> tuple[int, int]:
        """Return the most calls and the most tokens that any window of so many seconds holds."""
        window: deque[tuple[float, int]] = deque()
        most_calls = most_tokens = n_tokens = 0
        for at_s, tokens in self.arrivals:
            window.append((at_s, tokens))
            n_tokens += tokens
            while window[0][0] <= at_s - seconds:
                n_tokens -= window.popleft()[1]
            most_calls, most_tokens = max(most_calls, len(window)), max(most_tokens, n_tokens)
        return most_calls, most_tokens


@contextmanager
def loopback_api(*, rpm: float | None = None, tpm: float | None = None) -> Iterator[LoopbackApi]:
    """Serve on a thread of its own until the block ends."""
    api = LoopbackApi(rpm=rpm, tpm=tpm)
    started, stopping = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        server = await asyncio.start_server(api.answer, "127.0.0.1", 0)
        api.port = server.sockets[0].getsockname()[1]
        started.set()
        await stopping.wait()
        server.close()
        for task in asyncio.all_tasks():
            if task is not asyncio.current_task():
                task.cancel()
        await asyncio.sleep(0.01)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(10.0)
    try:
        yield api
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(10.0)
        loop.close()


@dataclass(frozen=True, kw_only=True)
class Caller:
    """What one calling process does: `n_parallel` tasks call one after another as fast as the limiter lets them."""

    redis_url: str
    port: int
    key: str = "api.test:0"
    rpm: float | None = None
    tpm: float | None = None
    concurrency: int | None = None
    n_calls: int = 10**9
    n_parallel: int = 16
    seconds: float = 3600.0
    """No call begins later than this after the first."""
    call_s: float = 0.0
    tokens: tuple[int, ...] = (0,)
    """Of one call after another, in a circle."""
    used_share: float = 1.0
    """How much of these tokens the answer says were used."""
    pause_after: int = 0
    """Ask everybody to pause after this many calls; 0: never."""
    pause_s: float = 0.0

    clock_shift_s: float = 0.0
    """How wrong the wall clock of the process is, where Python reads it."""

    def start(self) -> "Calling":
        command = [sys.executable, "-m", "tests.loopback_api", json.dumps(self.__dict__)]
        return Calling(process=subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))


@dataclass(kw_only=True)
class Calling:
    """A process that calls."""

    process: subprocess.Popen[str]

    def wait(self, timeout_s: float = 60.0) -> dict[str, float]:
        """Return what the process reports at its end."""
        out, _ = self.process.communicate(timeout=timeout_s)
        assert self.process.returncode == 0, out
        report: dict[str, float] = json.loads(out.splitlines()[-1])
        return report

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


class _Calls:
    def __init__(self, plan: Caller) -> None:
        self.plan = plan
        self.n_started = 0
        self.n_refused = 0
        self.waited_s = 0.0

    async def run(self) -> dict[str, float]:
        plan = self.plan
        redis = Redis.from_url(plan.redis_url)
        shared = SharedState(redis)
        limiter = SharedLimiter(shared, plan.key, rpm=plan.rpm, tpm=plan.tpm, concurrency=plan.concurrency)
        began_s, cpu_s = time.monotonic(), time.process_time()
        await asyncio.gather(*(self._task(limiter, began_s) for _ in range(plan.n_parallel)))
        cpu_s = time.process_time() - cpu_s
        await limiter.close()
        await shared.close()
        await redis.aclose()
        return {
            "n_calls": self.n_started,
            "n_refused": self.n_refused,
            "waited_s": self.waited_s,
            "cpu_s": cpu_s,
            "wall_s": time.monotonic() - began_s,
        }

    async def _task(self, limiter: SharedLimiter, began_s: float) -> None:
        plan = self.plan
        reader, writer = await asyncio.open_connection("127.0.0.1", plan.port)
        while self.n_started < plan.n_calls and (left_s := began_s + plan.seconds - time.monotonic()) > 0.0:
            n_tokens = plan.tokens[self.n_started % len(plan.tokens)]
            self.n_started += 1
            try:
                waited_s = await asyncio.wait_for(limiter.acquire(n_tokens), left_s)
            except TimeoutError:
                self.n_started -= 1
                break
            try:
                writer.write(f"{n_tokens} {plan.call_s}\n".encode())
                is_refused = (await reader.readline()).startswith(b"429")
            finally:
                limiter.release()
            self.waited_s += waited_s
            self.n_refused += is_refused
            limiter.correct(int(n_tokens * plan.used_share) - n_tokens)
            if plan.pause_after and self.n_started >= plan.pause_after:
                limiter.pause(plan.pause_s)
        writer.close()


if __name__ == "__main__":
    words = json.loads(sys.argv[1])
    if words["clock_shift_s"]:
        read_clock, shift_s = time.time, words["clock_shift_s"]
        time.time = lambda: read_clock() + shift_s
    report = asyncio.run(_Calls(Caller(**{**words, "tokens": tuple(words["tokens"])})).run())
    sys.stdout.write(json.dumps(report))
