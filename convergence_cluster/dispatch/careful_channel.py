"""Reads a queue as kombu does, with one client, and outlives what is no message: anybody may write to it."""

from collections.abc import Callable
from queue import Empty
from typing import Any

from kombu.transport.redis import Channel, SentinelChannel, SentinelTransport, Transport

_MALFORMED = (ValueError, TypeError, KeyError, AttributeError)
"""What kombu raises while it reads what is no JSON, or JSON of another shape; its worker would end with it."""


def be_careful(refuse: Callable[[str], None]) -> None:
    """Let every connection of this process `refuse` what is no message, with the reason, and go on."""
    Transport.Channel = _careful(Channel, refuse)
    SentinelTransport.Channel = _careful(SentinelChannel, refuse)  # type: ignore[assignment]  # made from it


def _careful(channel: type[Channel], refuse: Callable[[str], None]) -> type[Channel]:
    original: Callable[..., Any] = channel._brpop_read  # noqa: SLF001 - kombu has no other place for it
    new_client: Callable[..., Any] = channel._create_client  # noqa: SLF001

    def read(self: Any, **options: Any) -> Any:
        try:
            return original(self, **options)
        except _MALFORMED as error:
            refuse(f"no message: {type(error).__name__}")
            raise Empty from error  # as if nothing had come

    def client(self: Any, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - as kombu calls it
        """Return the client of a pool again: kombu makes three for every message, a twentieth of the worker's time."""
        if asynchronous:
            return new_client(self, asynchronous=True)
        known = self.__dict__.get("_lasting_client")
        if known is None or known.connection_pool is not self.pool:
            known = self.__dict__["_lasting_client"] = new_client(self)
        return known

    methods: dict[str, Any] = {"_brpop_read": read, "_create_client": client}
    return type(channel.__name__, (channel,), methods)
