"""A transport that hears from answers that the next call would be refused, before it is sent."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from convergence_cluster.domain.clock import Clock
from convergence_cluster.providers.http import Endpoint, Transport
from convergence_cluster.providers.replies import Reply
from convergence_cluster.providers.waits import exhausted_s


class Headroom:
    """Passes everything on, and says for how long the provider's rate headers leave no room for another call."""

    def __init__(self, transport: Transport, *, clock: Clock, on_exhausted: Callable[[float], None]) -> None:
        self._transport = transport
        self._clock = clock
        self._on_exhausted = on_exhausted

    async def exchange(
        self, endpoint: Endpoint, *, url: str | None = None, headers: Mapping[str, str], content: bytes | None
    ) -> Reply:
        """Send one attempt and return the whole answer, whatever its status; a refusal says itself how long to wait."""
        reply = await self._transport.exchange(endpoint, url=url, headers=headers, content=content)
        if reply.status < HTTPStatus.MULTIPLE_CHOICES:
            wait_s = exhausted_s(reply.headers, self._clock.now_s())
            if wait_s > 0.0:
                self._on_exhausted(wait_s)
        return reply

    async def close(self) -> None:
        """Free the connections."""
        await self._transport.close()
