"""Keys: named in the study, read from the environment at call time, and kept out of everything that is written."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never
from urllib.parse import quote

from convergence_cluster.domain.errors import ProviderStopError

REDACTED = "[redacted]"
_MIN_SECRET_CHARS = 6
"""Shorter values are words like `none` that local servers take for a key; removing them would garble answers."""


class AuthKind(StrEnum):
    """How a request shows who sends it."""

    NONE = "none"
    BEARER = "bearer"
    API_KEY = "api_key"
    BASIC = "basic"
    OAUTH = "oauth"
    """A token by client credentials; `oauth.TokenCache` fetches it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Auth:
    """Names of environment variables, never their values."""

    kind: AuthKind = AuthKind.NONE
    token_env: str | None = None
    """Holds the token; with `basic` and no `password_env`, the password."""
    header_name: str = "x-api-key"
    """For `api_key` only."""
    username: str = ""
    username_env: str | None = None
    password_env: str | None = None
    token_url: str | None = None
    """For `oauth` only, as the rest."""
    client_id_env: str | None = None
    client_secret_env: str | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Headers that carry secrets, and every form in which those secrets could come back."""

    headers: Mapping[str, str]
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Credentials({sorted(self.headers)})"

    def redact(self, text: str) -> str:
        """Return the text without any secret."""
        for secret in self.secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return text

    def redact_bytes(self, body: bytes) -> bytes:
        """Return the bytes without any secret; a server may echo what it was sent."""
        for secret in self.secrets:
            encoded = secret.encode()
            if encoded in body:
                body = body.replace(encoded, REDACTED.encode())
        return body


NO_CREDENTIALS = Credentials({}, ())


def resolve(auth: Auth, environ: Mapping[str, str]) -> Credentials:
    """Return what to send with one request.

    Raises:
        ProviderStopError: an environment variable is missing, empty or cannot stand in a header.
    """
    match auth.kind:
        case AuthKind.NONE:
            return NO_CREDENTIALS
        case AuthKind.BEARER:
            token = _read(auth.token_env, environ)
            return bearer(token)
        case AuthKind.API_KEY:
            token = _read(auth.token_env, environ)
            return _credentials(auth.header_name, token, token)
        case AuthKind.BASIC:
            username = _read(auth.username_env, environ) if auth.username_env else auth.username
            password = _read(auth.password_env or auth.token_env, environ)
            return _basic(username, password)
        case AuthKind.OAUTH:
            raise ProviderStopError("a token of type oauth is fetched first; it cannot be read from the environment")
        case _:
            assert_never(auth.kind)


def client_of(auth: Auth, environ: Mapping[str, str]) -> Credentials:
    """Return what a token endpoint is asked with: client id and secret, encoded as RFC 6749, 2.3.1 says.

    Raises:
        ProviderStopError: an environment variable is missing, empty or cannot stand in a header.
    """
    secret = _read(auth.client_secret_env, environ)
    client = _basic(quote(_read(auth.client_id_env, environ), safe=""), quote(secret, safe=""))
    return Credentials(client.headers, (*client.secrets, *_forms(secret)))


def bearer(token: str) -> Credentials:
    """Return what to send with a token."""
    return _credentials("Authorization", f"Bearer {token}", token)


def _basic(username: str, password: str) -> Credentials:
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return _credentials("Authorization", f"Basic {pair}", password, pair)


def _read(name: str | None, environ: Mapping[str, str]) -> str:
    value = environ.get(name, "").strip() if name else ""
    if not value:
        raise ProviderStopError(f"environment variable {name or '(not named)'} is not set; it should hold the API key")
    if not (value.isascii() and value.isprintable()):
        raise ProviderStopError(f"environment variable {name} holds characters that a header cannot carry")
    return value


def _credentials(header: str, value: str, *secrets: str) -> Credentials:
    return Credentials({header: value}, _forms(*secrets))


def _forms(*secrets: str) -> tuple[str, ...]:
    """Return every form in which secrets could come back, the longest first."""
    forms = {
        form
        for secret in secrets
        for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1])
        if len(form) >= _MIN_SECRET_CHARS
    }
    return tuple(sorted(forms, key=len, reverse=True))
