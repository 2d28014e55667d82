"""A TCP proxy in a thread that holds bytes back in one direction, delays them, or resets every connection."""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

UP, DOWN = "up", "down"
_HOLD_S = 0.02
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST instead of FIN."""


@dataclass(kw_only=True)
class TcpProxy:
    """Stands between clients and one server on loopback. What is held back arrives when it is let through again."""

    server_port: int
    port: int = 0
    held: set[str] = field(default_factory=set)
    """Directions in which nothing gets through: `UP` is from client to server."""
    delay_s: float = 0.0
    """Added to each piece of data in each direction."""
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _listens: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _serving: "asyncio.Task[None]" = field(init=False)

    def reset(self) -> None:
        """Break every connection as a router that forgot them does."""
        self._loop.call_soon_threadsafe(self._reset)

    def run(self) -> None:
        """Forward until `stop`; for a thread of its own."""
        self._serving = self._loop.create_task(self.serve())
        self._loop.run_until_complete(self._serving)
        self._loop.close()

    def wait(self) -> None:
        """Return when it listens."""
        assert self._listens.wait(10), "the proxy does not listen"

    def stop(self) -> None:
        """Break every connection and forward no more."""
        self._loop.call_soon_threadsafe(self._serving.cancel)

    async def serve(self) -> None:
        """Forward until cancelled, then break what is open."""
        async with await asyncio.start_server(self._connect, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._listens.set()
            with suppress(asyncio.CancelledError):
                await asyncio.get_running_loop().create_future()
        self._reset()
        while open_still := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in open_still:
                task.cancel()
            await asyncio.gather(*open_still, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError):
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
            self._writers.add(up_writer)
            await asyncio.gather(self._pump(reader, up_writer, UP), self._pump(up_reader, writer, DOWN))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: str) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await asyncio.sleep(self.delay_s)
                while way in self.held:
                    await asyncio.sleep(_HOLD_S)
                writer.write(data)
                await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        self._writers.discard(writer)

    def _reset(self) -> None:
        for writer in self._writers:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        self._writers.clear()


@contextmanager
def tcp_proxy(server_port: int) -> Iterator[TcpProxy]:
    """Run a proxy before a server's port until the block ends."""
    proxy = TcpProxy(server_port=server_port)
    thread = threading.Thread(target=proxy.run, daemon=True)
    thread.start()
    proxy.wait()
    try:
        yield proxy
    finally:
        proxy.stop()
        thread.join(10)
