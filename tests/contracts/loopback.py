"""A scripted HTTP server on a free local port, to be asked by the provider under test."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Scripted:
    """One answer, sane or not."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay_s: float = 0.0
    pauses: tuple[tuple[int, float], ...] = ()
    """After how many bytes of the body it waits, and for how many seconds."""
    n_bytes_missing: int = 0
    """Announced but never sent; the connection closes instead."""
    is_silent: bool = False
    """Closes the connection without a byte."""
    is_echo: bool = False
    """Answers with the request's own headers and body in every place an answer has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Loopback:
    """Answers the n-th request with the n-th entry of `script`, the last one from then on."""

    def __init__(self, *script: Scripted) -> None:
        self.script = list(script)
        self.received: list[Received] = []
        self.left = asyncio.Event()
        """A client went away before it was answered."""
        self.url = ""

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._answer_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.received.append(Received(method=method, target=target, headers=headers, body=body))
        try:
            return await self._answer_as(self.script[min(len(self.received), len(self.script)) - 1], reader, writer)
        except ConnectionError:  # with a part of the answer unread, the end of a connection is a reset
            self.left.set()
            raise

    async def _answer_as(self, scripted: Scripted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        headers, body = self.received[-1].headers, self.received[-1].body
        await self._wait(reader, scripted.delay_s)
        if scripted.is_silent:
            return False
        payload = _echo(headers, body) if scripted.is_echo else scripted.body
        announced = {"content-type": "application/json", "content-length": str(len(payload) + scripted.n_bytes_missing)}
        if scripted.is_echo:
            announced["x-echo"] = headers.get("authorization", "")
        announced |= dict(scripted.headers)
        lines = [f"HTTP/1.1 {scripted.status} Scripted", *(f"{name}: {value}" for name, value in announced.items())]
        head_bytes, n_sent = "\r\n".join(lines).encode() + b"\r\n\r\n", 0
        for n_bytes, pause_s in scripted.pauses:
            writer.write(head_bytes + payload[n_sent:n_bytes])
            head_bytes, n_sent = b"", n_bytes
            await writer.drain()
            await self._wait(reader, pause_s)
        writer.write(head_bytes + payload[n_sent:])
        await writer.drain()
        return scripted.n_bytes_missing == 0

    async def _wait(self, reader: asyncio.StreamReader, seconds: float) -> None:
        """Wait, unless the client goes away meanwhile; a client that waits for its answer sends nothing."""
        if seconds <= 0.0:
            return
        try:
            async with asyncio.timeout(seconds):
                gone = await reader.read(1)
        except TimeoutError:
            return
        if not gone:
            raise ConnectionError


def _echo(headers: Mapping[str, str], body: bytes) -> bytes:
    text = json.dumps([dict(headers), body.decode()])
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    document = {
        "error": None,
        "model": text,
        "choices": [choice],
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": "STOP"}],
        "modelVersion": text,
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": text}]}],
    }
    return json.dumps(document).encode()


@asynccontextmanager
async def serving(*script: Scripted) -> AsyncIterator[Loopback]:
    loopback = Loopback(*script)
    server = await asyncio.start_server(loopback.answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    loopback.url = f"http://{host}:{port}"
    try:
        yield loopback
    finally:
        server.close()
        await server.wait_closed()


def as_json(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Scripted:
    return Scripted(status=status, headers=headers or {}, body=json.dumps(body).encode())
