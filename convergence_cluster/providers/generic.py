"""The adapter for any HTTP API: templates build the request, JMESPath reads the answer."""

from dataclasses import replace

from convergence_cluster.domain.calls import Answer, Request
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import before_sending
from convergence_cluster.providers.http import Endpoint, Transport
from convergence_cluster.providers.request_rule import MessageBuilder, RequestRule, camel_aliases
from convergence_cluster.providers.response_rule import ResponseReader, ResponseRule
from convergence_cluster.providers.templates import scope_of


class GenericProvider:
    """Sends attempts to an API that only its study file describes."""

    def __init__(
        self,
        *,
        transport: Transport,
        endpoint: Endpoint,
        clock: Clock,
        request: RequestRule | None = None,
        response: ResponseRule | None = None,
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._clock = clock
        rule = request or RequestRule()
        rule = replace(rule, headers={**endpoint.headers, **(rule.headers or {})})
        self._builder = MessageBuilder(endpoint.url, endpoint.method, rule, merges=True)
        self._reader = ResponseReader(response or ResponseRule())

    async def send(self, request: Request) -> Answer:
        """Send one attempt.

        Raises:
            TransientError: worth another attempt.
            InfeasibleError: the API does not accept this configuration.
            ProviderStopError: no call will be accepted any more.
            PermanentError: this call is not accepted, or its answer lacks what the study file names.
        """
        with before_sending():
            message = self._builder.build(scope_of(request.configuration, request.case))
        message.headers.setdefault("Idempotency-Key", request.idempotency_key)
        reply = await self._transport.exchange(
            self._endpoint, url=message.url, headers=message.headers, content=message.content
        )
        now_s = self._clock.now_s()
        reply.raise_for_status(request.configuration, now_s, camel_aliases(request.configuration))
        return self._reader.read(reply, request, now_s)

    async def close(self) -> None:
        """Free the connections."""
        await self._transport.close()
