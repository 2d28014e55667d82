"""Browser sessions as Browserbase rents them: created, used, released whatever happened, and billed by what they took.

A case with a `url` is visited, and the value of its `script` (else the page's text) is the result; without a `url` the
result is the session itself. `/fetch` and `/search` need no session: they are plain requests.
Source: Browserbase's API reference v1 (2026). Its answers name no price, so the study says what a minute costs:
`cost: [{path: session.browser_minutes, per_unit: ...}, {path: session.proxy_gb, per_unit: ...}]`.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import datetime
from typing import TypeAlias

from convergence_cluster.domain.calls import Answer, Request
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import ConvergenceError, PermanentError, TransientError, before_sending
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.afterwards import as_unknown, insist
from convergence_cluster.providers.cdp import Socket, visit
from convergence_cluster.providers.http import Endpoint, Transport
from convergence_cluster.providers.replies import Reply
from convergence_cluster.providers.request_rule import MessageBuilder, RequestRule, camel, camel_aliases, to_bytes
from convergence_cluster.providers.response_rule import ResponseReader, ResponseRule, fault_in_body
from convergence_cluster.providers.templates import scope_of

_OF_VISIT = frozenset({"url", "script"})
_OF_SESSION = frozenset(
    {"projectId", "extensionId", "keepAlive", "proxies", "region", "timeout", "userMetadata", "browserSettings"}
)
_OF_BROWSER = frozenset(
    {
        "advancedStealth",
        "allowedDomains",
        "blockAds",
        "captchaImageSelector",
        "captchaInputSelector",
        "context",
        "extensionId",
        "logSession",
        "os",
        "recordSession",
        "solveCaptchas",
        "verified",
        "viewport",
    }
)
_SECRET = frozenset({"connectUrl", "seleniumRemoteUrl", "signingKey"})
_ENDED = frozenset({"COMPLETED", "ERROR", "TIMED_OUT"})
_SHORTEST_S, _LONGEST_S = 60, 21_600
"""What the API takes as a session's own limit."""
_POLL_S = 0.25
_BILL_POLLS = 8
_GB = 1e9


Connect: TypeAlias = Callable[[str], AbstractAsyncContextManager[Socket]]
"""Opens a connection to the browser at a URL that an answer named."""


class BrowserbaseProvider:
    """Rents one session an attempt."""

    def __init__(
        self,
        *,
        transport: Transport,
        connect: Connect,
        endpoint: Endpoint,
        clock: Clock,
        request: RequestRule | None = None,
        response: ResponseRule | None = None,
        timeout_s: float = 300.0,
    ) -> None:
        """`timeout_s` is the limit of a session, the endpoint's own that of each request."""
        self._transport = transport
        self._connect = connect
        self._endpoint = endpoint
        self._clock = clock
        self._timeout_s = timeout_s
        rule = replace(request or RequestRule(), merge=self._merged)
        self._builder = MessageBuilder(endpoint.url, "POST", rule)
        self._reader = ResponseReader(response or ResponseRule(result="result"))

    async def send(self, request: Request) -> Answer:
        """Rent a session, use it and give it back.

        Raises:
            TransientError: worth another attempt.
            InfeasibleError: the API does not accept this configuration.
            ProviderStopError: no call will be accepted any more.
            PermanentError: the page could not be used; what the session cost is booked all the same.
        """
        created, url = await self._create(request)
        began_s = self._clock.monotonic_s() - created.latency_s
        session = created.json()
        if not isinstance(session, Mapping) or not session.get("id"):
            raise fault_in_body(created, session, request, self._clock.now_s())
        page: Mapping[str, Json] | None = None
        failure: ConvergenceError | None = None
        address = f"{url}/{session['id']}"
        try:
            page = await self._use(session, request, address, began_s)
        except (PermanentError, TransientError) as error:
            failure = error
        finally:
            latency_s = self._clock.monotonic_s() - began_s
            await insist(lambda: self._release(session, address), "release")
        if isinstance(failure, TransientError):
            raise as_unknown(failure)
        billed = await self._billed(session, address)
        document = {"session": billed, "page": page, "result": billed if page is None else page["value"]}
        reply = replace(created, status=200, body=to_bytes(document), latency_s=latency_s)
        if isinstance(failure, PermanentError):
            failure.is_unsent = False  # its session was rented
            failure.answer = self._reader.answer(reply, document)
            raise failure
        return self._reader.read(reply, request, self._clock.now_s())

    async def close(self) -> None:
        """Free the connections."""
        await self._transport.close()

    async def _create(self, request: Request) -> tuple[Reply, str]:
        with before_sending():
            message = self._builder.build(scope_of(request.configuration, request.case))
        headers = {"Idempotency-Key": request.idempotency_key, **message.headers}
        reply = await self._transport.exchange(
            replace(self._endpoint, headers={}), url=message.url, headers=headers, content=message.content
        )
        reply.raise_for_status(request.configuration, self._clock.now_s(), camel_aliases(request.configuration))
        return reply, message.url

    async def _use(
        self, session: Mapping[str, Json], request: Request, address: str, began_s: float
    ) -> Mapping[str, Json] | None:
        """Await the session and visit the case's page, if it names one."""
        while session.get("status") == "PENDING":
            if self._clock.monotonic_s() - began_s > self._timeout_s:
                raise TransientError(f"{address}: the session did not start within {self._timeout_s:g} s")
            await asyncio.sleep(_POLL_S)
            session = {**session, **(await self._ask(address)).json()}
        if session.get("status") in _ENDED:
            raise PermanentError(f"the session ended before it was used: {session['status']}")
        fields = {**request.case.input, **request.configuration}
        url, script, socket = fields.get("url"), fields.get("script"), session.get("connectUrl")
        if not isinstance(url, str) or not isinstance(socket, str):
            return None
        left_s = max(1.0, self._timeout_s - (self._clock.monotonic_s() - began_s))
        async with self._connect(socket) as browser:
            script = script if isinstance(script, str) else None
            return await visit(browser, url, script=script, timeout_s=left_s, clock=self._clock)

    async def _release(self, session: Mapping[str, Json], address: str) -> None:
        project = {"projectId": session["projectId"]} if session.get("projectId") else {}
        await self._ask(address, body={"status": "REQUEST_RELEASE", **project})

    async def _billed(self, session: Mapping[str, Json], address: str) -> Mapping[str, Json]:
        """Return the session as it ended, with what it is billed by; without, where the API does not say in time."""
        for _ in range(_BILL_POLLS):
            try:
                session = {**session, **(await self._ask(address)).json()}
            except (TransientError, PermanentError):
                break
            if session.get("endedAt"):
                break
            await asyncio.sleep(_POLL_S)
        told = {name: value for name, value in session.items() if name not in _SECRET}
        return {**told, **_billing(session)}

    async def _ask(self, address: str, *, body: Json = None) -> Reply:
        endpoint = replace(self._endpoint, method="GET" if body is None else "POST", headers={})
        headers = {} if body is None else {"Content-Type": "application/json"}
        content = None if body is None else to_bytes(body)
        reply = await self._transport.exchange(endpoint, url=address, headers=headers, content=content)
        reply.raise_for_status({}, self._clock.now_s())
        return reply

    def _merged(self, fields: Mapping[str, Json]) -> tuple[Mapping[str, Json], Json]:
        """Return the body of a new session: what the browser is to be is nested, what is for the visit is not sent."""
        named = {camel(name): _viewport(value) if name == "viewport" else value for name, value in fields.items()}
        own = {name: value for name, value in named.items() if name in _OF_SESSION}
        settings = {name: value for name, value in named.items() if name in _OF_BROWSER - _OF_SESSION}
        known = own.get("browserSettings")
        if settings or known:
            own["browserSettings"] = {**(known if isinstance(known, Mapping) else {}), **settings}
        limit_s = min(max(math.ceil(self._timeout_s), _SHORTEST_S), _LONGEST_S)
        return {}, {"timeout": limit_s, **own}


def _viewport(value: Json) -> Json:
    """Return `1280x720` as the API writes it; so that a viewport can be a value of a category."""
    width, x, height = value.partition("x") if isinstance(value, str) else ("", "", "")
    return {"width": int(width), "height": int(height)} if x and width.isdigit() and height.isdigit() else value


def _billing(session: Mapping[str, Json]) -> Mapping[str, Json]:
    began, ended, n_bytes = session.get("startedAt"), session.get("endedAt"), session.get("proxyBytes")
    found: dict[str, Json] = {}
    if isinstance(n_bytes, int | float):
        found["proxy_gb"] = n_bytes / _GB
    try:
        took = datetime.fromisoformat(str(ended)) - datetime.fromisoformat(str(began))
    except (ValueError, TypeError):
        return found
    return {**found, "browser_minutes": max(0.0, took.total_seconds() / 60.0)}
