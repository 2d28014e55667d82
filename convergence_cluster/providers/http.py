"""The transport under every adapter: httpx over aiohttp's connections. `websockets.py` beside it connects to browsers.

One shared pool without a limit of its own (pace is the limiter's business). httpx alone spends 16 ms of CPU a call at
400 connections (encode/httpx#3215), over aiohttp's connections 0.34 ms, and 0.25 ms when its transport is used without
the client's cookies, redirects and log lines with whole URLs, none of which a measurement wants.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import (
    ConvergenceError,
    PermanentError,
    ProviderStopError,
    TransientError,
    before_sending,
)
from convergence_cluster.providers.credentials import Auth, AuthKind, Credentials, resolve
from convergence_cluster.providers.faults import EXCERPT_CHARS
from convergence_cluster.providers.oauth import TokenCache
from convergence_cluster.providers.replies import EVENT_STREAM, Reply
from convergence_cluster.providers.sockets import Stopwatch, current_stopwatch, open_timed_socket
from convergence_cluster.providers.streams import EventCheck

MAX_BODY_BYTES = 10_000_000
_KEEP_ALIVE_S = 4.0
"""Below the 5 s after which common servers drop an idle connection, so that no request runs into one being closed."""
_CLOCK_SLACK_S = 0.001
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
_NO_TIMEOUT: dict[str, Any] = {"timeout": {}}


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where requests go, and as whom."""

    url: str
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 30.0
    """For one attempt from connecting to the answer's last byte."""
    expects_json_events: bool = False
    """Whether a stream of events that are no JSON is broken, and left at once."""
    auth: Auth = field(default_factory=Auth)


class Transport(Protocol):
    """What an adapter needs: one attempt on the wire."""

    async def exchange(
        self, endpoint: Endpoint, *, url: str | None = None, headers: Mapping[str, str], content: bytes | None
    ) -> Reply:
        """Send one attempt and return the whole answer, whatever its status. `url` replaces the endpoint's own."""
        ...

    async def close(self) -> None:
        """Free the connections."""
        ...


class _Connector(aiohttp.TCPConnector):
    """Starts the attempt's stopwatch when its connection stands, so that pool and set-up do not count."""

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - the interface of aiohttp
        connection = await super().connect(req, traces, timeout)
        stopwatch = current_stopwatch.get()
        if stopwatch is not None:
            stopwatch.restart()
        return connection


class HttpTransport:
    """Sends requests of any adapter over one pool of connections. Belongs to one asyncio loop, from its first use."""

    def __init__(
        self,
        *,
        clock: Clock,
        environ: Mapping[str, str],
        tls: ssl.SSLContext | None = None,
        proxy_url: str | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._clock = clock
        self._environ = environ
        self._urls: dict[str, httpx.URL] = {}
        self._max_body_bytes = max_body_bytes
        self._proxy_url = proxy_url
        self._tls = tls or httpx.create_ssl_context()
        self._tokens = TokenCache(clock=clock, environ=environ)
        self._transport = AiohttpTransport(verify=self._tls, client=self._open_session)

    async def exchange(
        self, endpoint: Endpoint, *, url: str | None = None, headers: Mapping[str, str], content: bytes | None
    ) -> Reply:
        """Send one attempt and return the whole answer, whatever its status.

        Raises:
            TransientError: no answer, or half of one. `kind` is `unknown` if the request may have reached the server.
            ProviderStopError: a key is missing, or no token is given for it.
            PermanentError: the request cannot be sent, or its answer is too long.
        """
        with before_sending():
            is_oauth = endpoint.auth.kind is AuthKind.OAUTH
            credentials = await self._token(endpoint) if is_oauth else resolve(endpoint.auth, self._environ)
        reply = await self._exchange(endpoint, credentials, url=url, headers=headers, content=content)
        if is_oauth and reply.status == HTTPStatus.UNAUTHORIZED:
            self._tokens.forget(endpoint.auth, credentials)
            credentials = await self._token(endpoint)
            reply = await self._exchange(endpoint, credentials, url=url, headers=headers, content=content)
        return reply

    async def _token(self, endpoint: Endpoint) -> Credentials:
        tokens = Endpoint(url=endpoint.auth.token_url or "", headers=_FORM, timeout_s=endpoint.timeout_s)

        async def fetch(client: Credentials, form: bytes) -> Reply:
            return await self._exchange(tokens, client, url=None, headers={}, content=form)

        return await self._tokens.credentials(endpoint.auth, fetch)

    async def _exchange(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        *,
        url: str | None,
        headers: Mapping[str, str],
        content: bytes | None,
    ) -> Reply:
        with before_sending():
            request = _request(
                endpoint,
                self._parsed(endpoint.url) if url is None or url == endpoint.url else url,
                {**endpoint.headers, **headers, **credentials.headers},
                content,
            )
        where = _where(request)
        stopwatch = Stopwatch()
        token = current_stopwatch.set(stopwatch)
        began_s = self._clock.monotonic_s()
        try:
            async with asyncio.timeout(endpoint.timeout_s):
                response, body, arrivals = await self._receive(endpoint, request, stopwatch)
        except TimeoutError:
            failure: ConvergenceError = _lost(stopwatch, f"{where}: no complete answer within {endpoint.timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError, ValueError) as error:
            failure = _failure(error, stopwatch, where, credentials.redact(_describe(error, request)))
        else:
            return Reply(
                status=response.status_code,
                headers={name.lower(): credentials.redact(value) for name, value in response.headers.items()},
                body=credentials.redact_bytes(body),
                latency_s=_latency_s(stopwatch, self._clock.monotonic_s() - began_s),
                where=where,
                arrivals=arrivals,
            )
        finally:
            current_stopwatch.reset(token)
        failure.is_unsent = not stopwatch.is_connected
        raise failure  # out here, so that the foreign exception, which holds the request's headers, is not its context

    async def close(self) -> None:
        """Close every connection. May be called twice."""
        await self._transport.aclose()
        await asyncio.sleep(0)

    def _parsed(self, url: str) -> httpx.URL | str:
        """Return an endpoint's URL, parsed once: it is about a tenth of a call's time. What is no URL is returned."""
        if url not in self._urls:
            try:
                self._urls[url] = httpx.URL(url)
            except (httpx.InvalidURL, ValueError):
                return url
        return self._urls[url]

    async def _receive(
        self, endpoint: Endpoint, request: httpx.Request, stopwatch: Stopwatch
    ) -> tuple[httpx.Response, bytes, tuple[tuple[int, float], ...]]:
        response = await self._transport.handle_async_request(request)
        is_stream = response.headers.get("content-type", "").startswith(EVENT_STREAM)
        check = EventCheck() if is_stream and endpoint.expects_json_events else None
        arrivals: list[tuple[int, float]] = []
        try:
            chunks: list[bytes] = []
            n_bytes = 0
            async for chunk in response.aiter_bytes():
                n_bytes += len(chunk)
                if n_bytes > self._max_body_bytes:
                    raise PermanentError(f"{_where(request)}: the answer is longer than {self._max_body_bytes} bytes")
                if check is not None and check.is_broken(chunk):
                    raise TransientError(f"{_where(request)}: the stream was cut", kind="unknown", is_outage=True)
                chunks.append(chunk)
                if is_stream and (elapsed_s := stopwatch.elapsed_s) is not None:
                    arrivals.append((n_bytes, elapsed_s))
        finally:
            await response.aclose()
        return response, chunks[0] if len(chunks) == 1 else b"".join(chunks), tuple(arrivals)

    def _open_session(self) -> aiohttp.ClientSession:
        connector = _Connector(
            limit=0, ssl=self._tls, keepalive_timeout=_KEEP_ALIVE_S, socket_factory=open_timed_socket, ttl_dns_cache=60
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
            proxy=self._proxy_url,
        )


def _request(
    endpoint: Endpoint, url: httpx.URL | str, headers: Mapping[str, str], content: bytes | None
) -> httpx.Request:
    try:
        return httpx.Request(endpoint.method, url, headers=headers, content=content, extensions=_NO_TIMEOUT)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise PermanentError(
            f"{endpoint.method} {str(url).split('?', maxsplit=1)[0]}: cannot be sent: {type(error).__name__}"
        ) from None


def _where(request: httpx.Request) -> str:
    return f"{request.method} {request.url.host}{request.url.path}"


def _describe(error: Exception, request: httpx.Request) -> str:
    text = str(error).replace(str(request.url), _where(request))
    return f"{type(error).__name__}: {text[:EXCERPT_CHARS]}" if text else type(error).__name__


def _failure(error: Exception, stopwatch: Stopwatch, where: str, text: str) -> ConvergenceError:
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return ProviderStopError(f"{where}: {text}")
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | ValueError):
        return PermanentError(f"{where}: cannot be sent: {text}")
    return _lost(stopwatch, f"{where}: {text}")


def _lost(stopwatch: Stopwatch, message: str) -> TransientError:
    return TransientError(message, kind="unknown" if stopwatch.is_connected else "error", is_outage=True)


def _latency_s(stopwatch: Stopwatch, elapsed_s: float) -> float:
    """Trust the socket's times unless the machine's wall clock was set in between."""
    at_socket_s = stopwatch.elapsed_s
    if at_socket_s is None or not 0.0 <= at_socket_s <= elapsed_s + _CLOCK_SLACK_S:
        return elapsed_s
    return at_socket_s
