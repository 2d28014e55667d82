"""A small HTTP/1.1 server on asyncio: keep-alive, bodies with a Content-Length, delays, cut answers. Local use only."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeAlias

MAX_HEAD_BYTES = 65_536
MAX_BODY_BYTES = 4_194_304
SERVER_NAME = "convergence-sandbox (simulation)"

_CLOSE = "connection: close\r\n"
_REASONS = {int(status): status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One request. Header names are in lower case."""

    method: str
    path: str
    """Without the query."""
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One response, to be sent after a pause."""

    body: bytes
    status: int = 200
    headers: str = ""
    """Further header lines, each ending in CR LF."""
    delay_s: float = 0.0
    is_cut: bool = False
    """Promise the whole body, send half of it and close the connection."""
    on_end: Callable[[bool], None] | None = None
    """Called once: with True when the answer goes to the socket, with False when the client has gone before."""


App: TypeAlias = Callable[[HttpRequest], HttpResponse | Awaitable[HttpResponse]]
"""Answers at once, or later where the work is real."""


class Connection(asyncio.Protocol):
    """One client's connection: requests are answered in their order, one at a time."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._pending: HttpResponse | None = None
        self._is_busy = False
        self._keeps_alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the interface of asyncio
        """Drop the answer that nobody waits for."""
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
        self._end_pending(is_sent=False)

    def data_received(self, data: bytes) -> None:
        """Collect bytes and answer the first complete request."""
        self._buffer = self._buffer + data if self._buffer else data
        if not self._is_busy:
            self._advance()

    def _advance(self) -> None:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > MAX_HEAD_BYTES:
                self._refuse(431)
            return
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdigit():
            self._refuse(411)
        elif int(length) > MAX_BODY_BYTES:
            self._refuse(413)
        elif len(self._buffer) >= end + 4 + int(length):
            stop = end + 4 + int(length)
            body, self._buffer = self._buffer[end + 4 : stop], self._buffer[stop:]
            self._serve(lines[0], headers, body)

    def _serve(self, request_line: str, headers: dict[str, str], body: bytes) -> None:
        words = request_line.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):  # noqa: PLR2004  method, target, version
            self._refuse(400)
            return
        self._is_busy = True
        self._keeps_alive = words[2] == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
        path, _, query = words[1].partition("?")
        response = self._app(HttpRequest(words[0], path, query, headers, body))
        if isinstance(response, HttpResponse):
            self._schedule(response)
        else:
            self._task = self._loop.create_task(self._await(response))

    async def _await(self, response: Awaitable[HttpResponse]) -> None:
        self._schedule(await response)

    def _schedule(self, response: HttpResponse) -> None:
        self._task, self._pending = None, response
        if response.delay_s > 0.0:
            self._timer = self._loop.call_later(response.delay_s, self._send)
        else:
            self._send()

    def _send(self) -> None:
        response, transport = self._pending, self._transport
        assert response is not None
        self._end_pending(is_sent=transport is not None)
        if transport is None:
            return
        keeps = self._keeps_alive and not response.is_cut
        head = (
            f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}\r\n"
            f"server: {SERVER_NAME}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(response.body)}\r\n{'' if keeps else _CLOSE}{response.headers}\r\n"
        )
        body = response.body[: len(response.body) // 2] if response.is_cut else response.body
        transport.write(head.encode("latin-1") + body)
        self._is_busy = False
        if not keeps:
            transport.close()
        elif self._buffer:
            self._loop.call_soon(self._advance)

    def _end_pending(self, *, is_sent: bool) -> None:
        pending, self._pending, self._timer = self._pending, None, None
        if pending is not None and pending.on_end is not None:
            pending.on_end(is_sent)

    def _refuse(self, status: int) -> None:
        self._keeps_alive = False
        self._buffer = b""
        self._schedule(HttpResponse(b'{"error":{"message":"bad request"}}', status))


async def listen(app: App, port: int) -> asyncio.Server:
    """Serve on 127.0.0.1 and no other address; port 0 takes a free one.

    Raises:
        OSError: the port is taken.
    """
    return await asyncio.get_running_loop().create_server(lambda: Connection(app), "127.0.0.1", port, backlog=1024)
