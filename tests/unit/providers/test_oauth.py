"""Tokens: how long one is used, and who may drop it."""

import asyncio
import json
from dataclasses import dataclass

import pytest

from convergence_cluster.domain.errors import ProviderStopError
from convergence_cluster.providers.credentials import Auth, AuthKind, Credentials
from convergence_cluster.providers.oauth import TokenCache
from tests.unit.metering.virtual_time import FixedClock

AUTH = Auth(kind=AuthKind.OAUTH, token_url="https://h/token", client_id_env="ID", client_secret_env="SECRET")
ENVIRON = {"ID": "me", "SECRET": "s3cret-s3cret"}


@dataclass
class Given:
    """What a token endpoint answers."""

    body: bytes
    status: int = 200
    where: str = "POST h/token"


class Giver:
    def __init__(self, **document: object) -> None:
        self.document = document
        self.n_given = 0

    async def __call__(self, client: Credentials, form: bytes) -> Given:
        self.n_given += 1
        return Given(json.dumps({"access_token": f"token-{self.n_given}", **self.document}).encode())


def token_of(cache: TokenCache, giver: Giver) -> Credentials:
    return asyncio.run(cache.credentials(AUTH, giver))


@pytest.mark.parametrize(
    ("expires_in", "used_s"), [(3600, 3540.0), (100, 90.0), (None, 270.0), ("soon", 270.0), (-1, 270.0)]
)
def test_a_token_is_used_until_shortly_before_its_end(expires_in: object, used_s: float) -> None:
    clock, giver = FixedClock(0.0), Giver(expires_in=expires_in)
    cache = TokenCache(clock=clock, environ=ENVIRON)

    token_of(cache, giver)
    clock.at_s = used_s - 0.1
    token_of(cache, giver)
    assert giver.n_given == 1

    clock.at_s = used_s
    assert token_of(cache, giver).headers == {"Authorization": "Bearer token-2"}


def test_a_call_that_was_late_to_fail_does_not_drop_the_next_token() -> None:
    cache, giver = TokenCache(clock=FixedClock(), environ=ENVIRON), Giver(expires_in=3600)

    old = token_of(cache, giver)
    cache.forget(AUTH, old)
    new = token_of(cache, giver)
    cache.forget(AUTH, old)

    assert token_of(cache, giver) is new
    assert giver.n_given == 2


def test_a_missing_secret_is_named() -> None:
    with pytest.raises(ProviderStopError, match="environment variable SECRET is not set"):
        token_of(TokenCache(clock=FixedClock(), environ={"ID": "me"}), Giver())


def test_a_token_shows_nothing_of_itself() -> None:
    assert "token-1" not in repr(token_of(TokenCache(clock=FixedClock(), environ=ENVIRON), Giver()))
