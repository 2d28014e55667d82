"""Sockets that know when a request went out and when its answer came in.

A busy event loop reads an answer later than it arrived, by as much as it has other work; measured above the loop, a
50 ms server looks slower the more calls run. So the time of arrival is the kernel's own (SO_TIMESTAMPNS on Linux),
else the time of the read. Under a loop that bypasses Python's sockets (uvloop) nothing is noted, and the caller's own
clock stands.
"""

import socket
import struct
import sys
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

_SO_TIMESTAMPNS = 35
"""asm-generic/socket.h; also the type of the control message. Python has no name for it."""
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size) if sys.platform == "linux" else 0


class Stopwatch:
    """The times of one attempt, in nanoseconds since the Unix epoch (the kernel's clock for packets)."""

    __slots__ = ("is_connected", "received_ns", "sent_ns")

    def __init__(self) -> None:
        self.sent_ns: int | None = None
        """The first byte of the request; None: nothing was sent."""
        self.received_ns: int | None = None
        """The last byte so far of the answer."""
        self.is_connected = False
        """A connection stands, so that anything may have been sent of the request itself."""

    def restart(self) -> None:
        """Note that the connection stands, and forget what its set-up sent and received."""
        self.is_connected = True
        self.sent_ns = None
        self.received_ns = None

    @property
    def elapsed_s(self) -> float | None:
        """Seconds from the request's first byte to the answer's last, or None where a socket noted nothing."""
        if self.sent_ns is None or self.received_ns is None:
            return None
        return (self.received_ns - self.sent_ns) * 1e-9


current_stopwatch: ContextVar[Stopwatch | None] = ContextVar("current_stopwatch", default=None)
"""The attempt on whose behalf this task writes."""


class TimedSocket(socket.socket):
    """A TCP socket that tells the attempt that wrote last when it sent and received."""

    _stopwatch: Stopwatch | None = None
    _has_stamps: bool = False

    def ask_for_stamps(self) -> None:
        """Have the kernel stamp what arrives, where it can."""
        if sys.platform == "linux":
            self.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._has_stamps = True

    def send(self, data: Any, flags: int = 0, /) -> int:
        """Send, noting when the attempt's first byte went out."""
        self._note_sent()
        return super().send(data, flags)

    def sendmsg(self, buffers: Iterable[Any], *rest: Any) -> int:
        """Send, noting when the attempt's first byte went out."""
        self._note_sent()
        return super().sendmsg(buffers, *rest)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Receive, noting when the last byte arrived."""
        if not self._has_stamps:
            data = super().recv(bufsize, flags)
            self._note_received(())
            return data
        data, ancillary, _, _ = self.recvmsg(bufsize, _ANCILLARY_BYTES, flags)
        self._note_received(ancillary if data else ())
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """Receive, noting when the last byte arrived."""
        if not self._has_stamps or nbytes:
            n_bytes = super().recv_into(buffer, nbytes, flags)
            self._note_received(())
            return n_bytes
        n_bytes, ancillary, _, _ = self.recvmsg_into([buffer], _ANCILLARY_BYTES, flags)
        self._note_received(ancillary if n_bytes else ())
        return n_bytes

    def _note_sent(self) -> None:
        stopwatch = current_stopwatch.get()
        if stopwatch is not None:
            self._stopwatch = stopwatch
            if stopwatch.sent_ns is None:
                stopwatch.sent_ns = time.time_ns()

    def _note_received(self, ancillary: Iterable[tuple[int, int, bytes]]) -> None:
        if self._stopwatch is None:
            return
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack_from(data)
                self._stopwatch.received_ns = seconds * 1_000_000_000 + nanoseconds
                return
        self._stopwatch.received_ns = time.time_ns()


def open_timed_socket(address: tuple[Any, ...]) -> socket.socket:
    """Return an unconnected socket for an entry of `getaddrinfo`."""
    family, kind, protocol, *_ = address
    timed = TimedSocket(family=family, type=kind, proto=protocol)
    timed.ask_for_stamps()
    return timed
