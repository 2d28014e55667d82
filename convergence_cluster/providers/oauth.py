"""Tokens of OAuth client credentials: fetched when needed, kept in memory, renewed before they expire, never written.

Source: RFC 6749, sections 2.3.1, 4.4 and 5.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol
from urllib.parse import quote, urlencode

from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import PermanentError, ProviderStopError, TransientError
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.credentials import Auth, Credentials, bearer, client_of
from convergence_cluster.providers.usage import amount

RENEWED_BEFORE_S = 60.0
"""A token with less than this left is not used for a new call; of a shorter one, the last tenth is not used."""
ASSUMED_LIFE_S = 300.0
"""Of a token whose answer does not say (RFC 6749 only recommends it)."""
_MAX_ERROR_CHARS = 120


class TokenReply(Protocol):
    """What a token endpoint answers."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def body(self) -> bytes:
        """The document with the token."""
        ...

    @property
    def where(self) -> str:
        """Method, host and path, for messages."""
        ...


Fetch = Callable[[Credentials, bytes], Awaitable[TokenReply]]
"""From the client's credentials and a form to the token endpoint's answer, whatever its status."""


@dataclass(frozen=True, slots=True, repr=False)
class _Token:
    credentials: Credentials
    good_until_s: float


class TokenCache:
    """The tokens of one process, one for each `Auth`. Belongs to one asyncio loop."""

    def __init__(self, *, clock: Clock, environ: Mapping[str, str]) -> None:
        self._clock = clock
        self._environ = environ
        self._tokens: dict[Auth, _Token] = {}
        self._locks: dict[Auth, asyncio.Lock] = {}

    async def credentials(self, auth: Auth, fetch: Fetch) -> Credentials:
        """Return what to send with one call; many calls at once wait for one token.

        Raises:
            TransientError: no token now. Nothing of the call itself was sent, so its cost is known to be nothing.
            ProviderStopError: the token endpoint refuses this client, or its name or secret is missing.
        """
        async with self._locks.setdefault(auth, asyncio.Lock()):
            token = self._tokens.get(auth)
            if token is None or self._clock.monotonic_s() >= token.good_until_s:
                token = await self._renew(auth, fetch)
                self._tokens[auth] = token
            return token.credentials

    def forget(self, auth: Auth, credentials: Credentials) -> None:
        """Drop a token that a server did not accept, unless another call has done so before."""
        token = self._tokens.get(auth)
        if token is not None and token.credentials is credentials:
            del self._tokens[auth]

    async def _renew(self, auth: Auth, fetch: Fetch) -> _Token:
        client = client_of(auth, self._environ)
        form = {"grant_type": "client_credentials"} | ({"scope": auth.scope} if auth.scope else {})
        asked_s = self._clock.monotonic_s()
        try:
            reply = await fetch(client, urlencode(form, quote_via=quote).encode())
        except TransientError as error:
            raise TransientError(f"no token: {error}", retry_after_s=error.retry_after_s) from None
        document = _document(reply)
        value = document.get("access_token")
        if reply.status != HTTPStatus.OK or not isinstance(value, str) or not value:
            raise _refusal(reply, document, client)
        life_s = amount(document.get("expires_in")) or ASSUMED_LIFE_S
        return _Token(bearer(value), asked_s + life_s - min(RENEWED_BEFORE_S, life_s / 10.0))


def _document(reply: TokenReply) -> Mapping[str, Json]:
    try:
        document = json.loads(reply.body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, Mapping) else {}


def _refusal(reply: TokenReply, document: Mapping[str, Json], client: Credentials) -> PermanentError | TransientError:
    """Say why there is no token, without quoting anything that could hold one."""
    code = document.get("error")
    reason = client.redact(code[:_MAX_ERROR_CHARS]) if isinstance(code, str) else "the answer has no access_token"
    said = f"no token: {reply.where}: HTTP {reply.status}: {reason}"
    is_passing = reply.status == HTTPStatus.TOO_MANY_REQUESTS or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return TransientError(said) if is_passing else ProviderStopError(said)
