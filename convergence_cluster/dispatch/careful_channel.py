"""Reads a queue as kombu does, and outlives what is no message: anybody who reaches Redis can write to it."""

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

    def read(self: Any, **options: Any) -> Any:
        try:
            return original(self, **options)
        except _MALFORMED as error:
            refuse(f"no message: {type(error).__name__}")
            raise Empty from error  # as if nothing had come

    return type(channel.__name__, (channel,), {"_brpop_read": read})
