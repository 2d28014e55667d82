"""A model that helps to score: asked with retries at its own pace, and charged to the answer that it helps to score."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from convergence_cluster.domain.calls import Answer, Request, TestCase
from convergence_cluster.domain.errors import InfeasibleError, PermanentError, ProviderStopError, TransientError
from convergence_cluster.domain.identity import CaseId, Json
from convergence_cluster.metering.prices import Cost, Prices
from convergence_cluster.metering.retry import RetryPolicy, Tally, with_retries
from convergence_cluster.metering.scoring import Scoring

T = TypeVar("T")

_AT_MOST = "reserved maximum"


class Limiter(Protocol):
    """Paces the calls of one provider."""

    async def acquire(self, n_tokens: int = 0) -> float:
        """Wait for a turn. Every `acquire` needs a `release`."""
        ...

    def release(self) -> None:
        """Give back the place in flight."""
        ...

    def pause(self, seconds: float) -> None:
        """Hold back every call that is not on the wire yet."""
        ...


class Recall(Protocol):
    """Remembers answers, so that no question about the same draw is paid twice."""

    async def find(self, request: Request, repeat: int) -> Answer | None:
        """Return what this question got before, or None."""
        ...

    async def keep(self, request: Request, repeat: int, answer: Answer) -> None:
        """Keep an answer for the next time."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Helper:
    """One such model."""

    name: str
    """For messages: `judge gpt-5`."""
    model: str
    parameters: Mapping[str, Json]
    send: Callable[[Request], Awaitable[Answer]]
    prices: Prices
    limiter: Limiter
    jitter: Callable[[], float]
    max_output_tokens: int | None
    """The limit on output that every request carries; None: none."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    recall: Recall | None = None

    def bound_usd(self, n_bytes: int) -> float | None:
        """Return the most that one attempt with this much text can cost, or None where nothing bounds it."""
        return self.prices.upper_bound(
            model=self.model, n_input_chars=n_bytes, max_output_tokens=self.max_output_tokens
        )

    async def ask(
        self,
        content: Mapping[str, Json],
        *,
        key: str,
        n_bytes: int,
        scoring: Scoring,
        retries: "Retries",
        read: Callable[[Answer], T],
    ) -> T:
        """Return what `read` finds in the answer; where it raises TransientError the model is asked again.

        Raises:
            TransientError: no usable answer after all retries.
            ProviderStopError: it will never answer: its key, its money or its settings are at fault.
            PermanentError: it does not answer this.
        """
        request = Request(
            configuration={"model": self.model, **self.parameters},
            case=TestCase(id=CaseId(self.name), input=content),
            idempotency_key=key,
        )
        known = None if self.recall is None else await self.recall.find(request, scoring.repeat)
        if known is not None:
            scoring.spare(self._cost(known))
            return read(known)
        tally = Tally()
        try:
            return await with_retries(
                lambda: self._attempt(request, n_bytes, tally, scoring, read),
                policy=self.retry,
                tally=tally,
                jitter=self.jitter,
                reserve=retries.take,
            )
        except TransientError as error:
            message = f"{self.name}: {error}"
            raise TransientError(message, retry_after_s=error.retry_after_s, kind=error.kind) from error
        except InfeasibleError as error:  # its own settings: nothing is known of the configuration that is scored
            raise ProviderStopError(f"{self.name} does not accept its `parameters`: {error}") from error
        except PermanentError as error:
            raise type(error)(f"{self.name}: {error}") from error

    async def _attempt(
        self, request: Request, n_bytes: int, tally: Tally, scoring: Scoring, read: Callable[[Answer], T]
    ) -> T:
        await self.limiter.acquire(n_bytes // 4 + (self.max_output_tokens or 0))
        tally.n_attempts += 1
        try:
            answer = await self.send(request)
        except TransientError as error:
            if error.kind == "unknown":
                scoring.charge(self._most(n_bytes))
            if error.retry_after_s is not None and error.retry_after_s <= self.retry.retry_after_max_s:
                self.limiter.pause(error.retry_after_s)
            raise
        finally:
            self.limiter.release()
        scoring.charge(self._cost(answer) or self._most(n_bytes))
        found = read(answer)
        if self.recall is not None:
            await self.recall.keep(request, scoring.repeat, answer)
        return found

    def _cost(self, answer: Answer) -> Cost | None:
        return self.prices.cost(model=self.model, usage=answer.usage, reported_usd=answer.cost_usd)

    def _most(self, n_bytes: int) -> Cost | None:
        """Return the bound as a cost: what was sent and not answered may be billed."""
        bound_usd = self.bound_usd(n_bytes)
        return None if bound_usd is None else Cost(usd=bound_usd, source=_AT_MOST)


class Retries:
    """So many further attempts, shared by all the votes on one answer: as many as money was set aside for."""

    __slots__ = ("left",)

    def __init__(self, n: int) -> None:
        self.left = n

    def take(self) -> bool:
        """Use one; False: none is left."""
        self.left -= 1
        return self.left >= 0
