"""An HTTP server that answers after a fixed time: `python -m benchmarks.delay_server --latency-ms 50`.

As little work as possible, so that what is measured beside it is the client. It prints its port and counts its answers;
it ends when its standard input does.
"""

import argparse
import asyncio
import sys

_BODY = b'{"result": 1}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)


class DelayedAnswers(asyncio.Protocol):
    """One connection: requests one after another, each answered after the delay."""

    delay_s = 0.05
    n_answers = 0

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request once it is whole and its time has come."""
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        if len(rest) < length:
            return
        self._buffer = rest[length:]
        if head.startswith(b"GET /count"):
            self._write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(self.n_answers)), self.n_answers))
            return
        asyncio.get_running_loop().call_later(self.delay_s, self._answer)

    def _answer(self) -> None:
        DelayedAnswers.n_answers += 1
        self._write(_ANSWER)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)


async def serve(delay_s: float) -> None:
    DelayedAnswers.delay_s = delay_s
    loop = asyncio.get_running_loop()
    server = await loop.create_server(DelayedAnswers, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> int:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--latency-ms", type=float, default=50.0)
    asyncio.run(serve(parser.parse_args().latency_ms / 1000.0))
    return 0


if __name__ == "__main__":
    sys.exit(main())
