"""What a trial needs from the outside."""

from collections.abc import Mapping
from typing import Protocol

from convergence_cluster.domain.calls import Answer, Request, TestCase
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.metering.scoring import Scoring


class Provider(Protocol):
    """Sends one attempt."""

    async def send(self, request: Request) -> Answer:
        """Return the answer, finish and usage as the provider reports them.

        Raises:
            TransientError: worth another attempt, after `retry_after_s` where the provider said so.
            InfeasibleError: this configuration is not accepted.
            ProviderStopError: no call will be accepted any more.
            PermanentError: this call is not accepted.
        """
        ...

    async def close(self) -> None:
        """Free the connections."""
        ...


class Evaluator(Protocol):
    """Turns an answer into metrics."""

    async def evaluate(
        self, answer: Answer, case: TestCase, configuration: Configuration, scoring: Scoring
    ) -> Mapping[str, float]:
        """Return raw metric values by name; `answer.cost_usd` is what the answer cost, None where nobody knows.

        Raises:
            PermanentError: the answer cannot be scored; the call is then FAILED, never a score of 0.
        """
        ...


class AnswerStore(Protocol):
    """Keeps answers by digest, for this machine or for a whole cluster."""

    async def get(self, key: str) -> bytes | None:
        """Return what was put under a key, or None.

        Raises:
            ConvergenceError: the store cannot be read.
        """
        ...

    async def put(self, key: str, value: bytes) -> None:
        """Keep a value, in place of any other under the same key.

        Raises:
            ConvergenceError: the store cannot be written.
        """
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...


class Limiter(Protocol):
    """Paces the calls of one provider."""

    async def acquire(self, n_tokens: int = 0) -> float:
        """Wait for a turn and return the seconds waited. Every `acquire` needs a `release`."""
        ...

    def release(self) -> None:
        """Give back the place in flight."""
        ...

    def correct(self, n_tokens: int) -> None:
        """Book `n_tokens` more than `acquire` was told (negative: fewer)."""
        ...

    def pause(self, seconds: float) -> None:
        """Hold back every call that is not on the wire yet."""
        ...

    def adopt(self, *, rpm: float | None = None, tpm: float | None = None) -> None:
        """Keep for a minute to what the provider says it allows a minute, where nobody set a limit."""
        ...


class Meter(Protocol):
    """Sets aside money for attempts beyond the first, which the coordinator has reserved already."""

    def reserve(self, usd: float) -> bool:
        """Reserve one more attempt of at most `usd`; False: the budget does not allow it."""
        ...
