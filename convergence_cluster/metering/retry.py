"""One retry layer for every provider: how often, how long between, and when to give up."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import stamina
from stamina.instrumentation import set_on_retry_hooks

from convergence_cluster.domain.errors import TransientError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How a passing failure is answered."""

    max_retries: int = 3
    """Attempts beyond the first."""
    wait_initial_s: float = 0.5
    """Before the first retry; doubles with each further one. Source: the vendors' own clients."""
    wait_max_s: float = 8.0
    retry_after_max_s: float = 120.0
    """A provider that asks for more is not waited for. Source: openai 3.x gives up there too."""

    def wait_s(self, n_failed: int, error: TransientError, jitter: float) -> float | None:
        """Return the pause after the `n_failed`-th failure (from 1), or None to give up.

        `jitter` in [0, 1) spreads callers: up to a quarter less than the backoff, up to a tenth more than the
        provider's own wish, which is a minimum.
        """
        if n_failed > self.max_retries:
            return None
        if error.retry_after_s is not None:
            wish_s = max(0.0, error.retry_after_s)
            return None if wish_s > self.retry_after_max_s else wish_s * (1.0 + 0.1 * jitter)
        backoff_s = min(self.wait_max_s, self.wait_initial_s * 2.0 ** (n_failed - 1))
        return backoff_s * (1.0 - 0.25 * jitter)


class Tally:
    """What the attempts of one call amounted to. Filled by `with_retries`."""

    __slots__ = ("n_attempts", "n_unknown", "n_unsent", "waited_s")

    def __init__(self) -> None:
        self.n_attempts = 0
        """Attempts sent."""
        self.n_unknown = 0
        """Attempts sent that ended without an answer, which the provider may bill all the same."""
        self.n_unsent = 0
        """Attempts that failed before anything was sent."""
        self.waited_s = 0.0
        """Spent between attempts and in rate limiters."""

    def add(self, other: "Tally") -> None:
        """Take what another one counted."""
        self.n_attempts += other.n_attempts
        self.n_unknown += other.n_unknown
        self.n_unsent += other.n_unsent
        self.waited_s += other.waited_s


def silence_stamina() -> None:
    """Keep stamina from printing a line for every retry, process-wide; outcomes count them. For entry points."""
    set_on_retry_hooks(())


async def with_retries(
    send: Callable[[], Awaitable[T]],
    *,
    policy: RetryPolicy,
    tally: Tally,
    jitter: Callable[[], float],
    reserve: Callable[[], bool],
) -> T:
    """Await `send` until it answers, fails for good, or no further attempt is allowed; then its last error is raised.

    `reserve` is asked before each attempt beyond the first. The first attempt goes without stamina's context, which
    costs more than the rest of this module, and so does every call that succeeds at once.
    """
    try:
        return await send()
    except TransientError as error:
        failed: TransientError | None = error

    n_failed = 0

    def backoff(error: Exception) -> bool | float:
        nonlocal n_failed
        if not isinstance(error, TransientError):
            return False
        n_failed += 1
        wait_s = policy.wait_s(n_failed, error, jitter())
        if wait_s is None or not reserve():
            return False
        tally.waited_s += wait_s
        return wait_s

    async for attempt in stamina.retry_context(on=backoff, attempts=None, timeout=None):
        with attempt:
            if failed is not None:
                first, failed = failed, None
                raise first
            return await send()
    raise AssertionError("a retry context ends by an answer or an error")
