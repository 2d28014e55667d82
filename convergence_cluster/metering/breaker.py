"""A circuit breaker for each provider and model, the same for a whole cluster.

Closed, it costs a call nothing: that it is open arrives with the read that `SharedState` makes anyway, failures are
told at once, and an answer only where somebody had counted failures. Without Redis it knows what it knew.
Source: M. Nygard, "Release It!", 2nd edition, section 5.2.
"""

import asyncio
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from convergence_cluster.domain.calls import Answer, Request
from convergence_cluster.domain.errors import ConvergenceError, TransientError, before_sending
from convergence_cluster.metering.breaker_script import PROBE, REPORT
from convergence_cluster.metering.shared_state import AWAY, MICROSECONDS, POLL_S, SharedState, Told

_READY_S = 1.0
"""A first call waits at most this long to hear whether the circuit is open."""

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class BreakerPolicy:
    """When a circuit opens and how it closes."""

    n_failures: int = 10
    """So many in a row, in the whole cluster, open it."""
    window_s: float = 60.0
    """Failures further apart than this are not in a row."""
    cool_down_s: float = 5.0
    """From opening to the first probe; doubles with each probe that fails."""
    cool_down_max_s: float = 120.0
    probe_s: float = 90.0
    """A probe without a result for so long counts as dead; longer than a call may take."""
    wait_s: float = 10.0
    """How long a call waits for an open circuit before it fails. It keeps its place in flight meanwhile."""


class Sender(Protocol):
    """What can be guarded."""

    async def send(self, request: Request) -> Answer:
        """Return the answer to one attempt."""
        ...

    async def close(self) -> None:
        """Free the connections."""
        ...


class Breaker:
    """One circuit. Used from one asyncio loop."""

    def __init__(self, shared: SharedState, name: str, policy: BreakerPolicy) -> None:
        self._shared = shared
        self._name = name
        self._policy = policy
        self._report = shared.script(REPORT)
        self._probe = shared.script(PROBE)
        self._key = f"convergence:breaker:{name}"
        self._open_until_s: float | None = None
        self._n_failures = 0
        self._known_at_s = 0.0
        self._has_answered = False
        self._n_untold = 0
        self._telling: asyncio.Task[None] | None = None
        self._is_probing = False
        shared.follow(self._key, self._hear)

    @property
    def is_open(self) -> bool:
        """Say whether the provider is left alone, as far as this process has heard."""
        return self._open_until_s is not None

    async def admit(self) -> str:
        """Return an empty text for a call of a closed circuit, or the token of the one probe of an open one.

        Raises:
            TransientError: of kind `unavailable`: the circuit stayed open; nothing was sent.
        """
        if not self._shared.is_fresh():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._shared.ready(), _READY_S)
        return "" if self._open_until_s is None else await self._wait()

    def answered(self) -> None:
        """Note that the API answered, whatever it said."""
        if self._n_failures > 0 and self._open_until_s is None:
            self._has_answered, self._n_untold = True, 0
            self._tell_soon()

    def failed(self) -> None:
        """Note that a call failed by an outage."""
        if self._open_until_s is None:
            self._n_untold += 1
            self._n_failures += 1
            if self._n_failures >= self._policy.n_failures:  # as Redis will say in a moment
                self._set(asyncio.get_running_loop().time() + self._policy.cool_down_s, self._n_failures)
            self._tell_soon()

    async def settle(self, token: str, *, answered: bool, failed: bool) -> None:
        """Say how the probe ended; neither: it was given up and another may probe."""
        with suppress(*AWAY):
            await self._tell(token, answered=answered, n_failed=int(failed))

    async def _wait(self) -> str:
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + self._policy.wait_s
        while self._open_until_s is not None:
            now_s = loop.time()
            if now_s >= ends_s:
                with before_sending():
                    raise TransientError(
                        f"{self._name}: not called, because the API failed {self._n_failures} times in a row; "
                        f"the next try is in {max(0.0, self._open_until_s - now_s):.0f} s",
                        kind="unavailable",
                    )
            if now_s >= self._open_until_s and not self._is_probing:
                if token := await self._ask_to_probe():
                    return token
                continue
            self._shared.is_fresh()  # so that it goes on reading
            wait_s = max(self._open_until_s - now_s, POLL_S)
            await asyncio.sleep(min(wait_s, ends_s - now_s))
        return ""

    async def _ask_to_probe(self) -> str:
        token = uuid.uuid4().hex
        self._is_probing = True
        try:
            asked_at_s = asyncio.get_running_loop().time()
            args = (token, int(self._policy.probe_s / MICROSECONDS))
            is_probe, open_us, n_failures = await self._shared.ask(self._probe, [self._key], args)
        except AWAY:
            self._open_until_s = asyncio.get_running_loop().time() + POLL_S
            return ""
        finally:
            self._is_probing = False
        self._learn(asked_at_s, open_us, n_failures)
        return token if is_probe else ""

    def _hear(self, told: Told) -> None:
        if told.asked_at_s >= self._known_at_s and self._telling is None:
            self._set(told.open_until_s, told.n_failures)

    def _tell_soon(self) -> None:
        if self._telling is None:
            self._telling = asyncio.create_task(self._tell_all())

    async def _tell_all(self) -> None:
        try:
            while self._has_answered or self._n_untold:
                answered, n_failed = self._has_answered, self._n_untold
                self._has_answered, self._n_untold = False, 0
                with suppress(*AWAY):
                    await self._tell("", answered=answered, n_failed=n_failed)
        finally:
            self._telling = None

    async def _tell(self, token: str, *, answered: bool, n_failed: int) -> None:
        policy = self._policy
        asked_at_s = asyncio.get_running_loop().time()
        spans_s = (policy.window_s, policy.cool_down_s, policy.cool_down_max_s)
        args: list[str | int | float] = [token, int(answered), n_failed, policy.n_failures]
        args += [int(span_s / MICROSECONDS) for span_s in spans_s]
        _, open_us, n_failures = await self._shared.ask(self._report, [self._key], args)
        self._learn(asked_at_s, open_us, n_failures)

    def _learn(self, asked_at_s: float, open_us: int, n_failures: int) -> None:
        now_s = asyncio.get_running_loop().time()
        self._known_at_s = max(self._known_at_s, asked_at_s)
        self._set(None if open_us < 0 else now_s + open_us * MICROSECONDS, n_failures)

    def _set(self, open_until_s: float | None, n_failures: int) -> None:
        if (open_until_s is None) != (self._open_until_s is None):
            event = "circuit.closed" if open_until_s is None else "circuit.opened"
            log.warning(event, circuit=self._name, failures=n_failures)
        self._open_until_s, self._n_failures = open_until_s, n_failures


class Breakers:
    """The circuits of one provider, one for each model."""

    def __init__(self, shared: SharedState, host: str, policy: BreakerPolicy | None = None) -> None:
        self._shared = shared
        self._host = host
        self._policy = policy or BreakerPolicy()
        self._by_model: dict[str, Breaker] = {}

    def of(self, model: str | None) -> Breaker:
        """Return the circuit of a model, or that of all calls that name none."""
        name = model or "-"
        if name not in self._by_model:
            self._by_model[name] = Breaker(self._shared, f"{self._host}:{name}", self._policy)
        return self._by_model[name]

    def states(self) -> dict[str, bool]:
        """Return of every model that was called whether its circuit is open; `-` where a call names none."""
        return {model: breaker.is_open for model, breaker in list(self._by_model.items())}


class Guarded:
    """A provider that is left alone while its circuit is open."""

    def __init__(self, provider: Sender, breakers: Breakers, *, model: str | None = None) -> None:
        self._provider = provider
        self._breakers = breakers
        self._model = model
        """Of requests whose configuration names none."""

    async def send(self, request: Request) -> Answer:
        """Send one attempt, or wait for the circuit to close.

        Raises:
            TransientError: as the provider, or of kind `unavailable`: nothing was sent.
        """
        model = request.configuration.get("model", self._model)
        breaker = self._breakers.of(model if isinstance(model, str) else None)
        token = await breaker.admit()
        if token:
            return await self._send_probe(breaker, token, request)
        try:
            answer = await self._provider.send(request)
        except ConvergenceError as error:
            if is_outage(error):
                breaker.failed()
            else:
                breaker.answered()
            raise
        breaker.answered()
        return answer

    async def close(self) -> None:
        """Free the connections."""
        await self._provider.close()

    async def _send_probe(self, breaker: Breaker, token: str, request: Request) -> Answer:
        answered = failed = False
        try:
            answer = await self._provider.send(request)
            answered = True
        except ConvergenceError as error:
            failed = is_outage(error)
            answered = not failed
            raise
        finally:
            await breaker.settle(token, answered=answered, failed=failed)
        return answer


def is_outage(error: ConvergenceError) -> bool:
    """Say whether an error means that the API is away, rather than that it refuses this call."""
    return isinstance(error, TransientError) and error.is_outage
