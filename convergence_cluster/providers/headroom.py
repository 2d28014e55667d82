"""A transport that hears from answers how much room is left, before a call is refused."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus

from convergence_cluster.domain.calls import Allowance
from convergence_cluster.domain.clock import Clock
from convergence_cluster.providers.allowances import allowance_of
from convergence_cluster.providers.http import Endpoint, Transport
from convergence_cluster.providers.replies import Reply


class Headroom:
    """Passes everything on, and says what the provider's rate headers still allow, where it is little."""

    def __init__(self, transport: Transport, *, clock: Clock, heed: Callable[[Allowance], None]) -> None:
        self._transport = transport
        self._clock = clock
        self._heed = heed

    async def exchange(
        self, endpoint: Endpoint, *, url: str | None = None, headers: Mapping[str, str], content: bytes | None
    ) -> Reply:
        """Send one attempt and return the whole answer, whatever its status; a refusal says itself how long to wait."""
        reply = await self._transport.exchange(endpoint, url=url, headers=headers, content=content)
        allowance = allowance_of(reply.headers, self._clock.now_s())
        if allowance is not None:
            is_refusal = reply.status >= HTTPStatus.MULTIPLE_CHOICES
            self._heed(replace(allowance, hold_s=0.0) if is_refusal else allowance)
        return reply

    async def close(self) -> None:
        """Free the connections."""
        await self._transport.close()
