"""OAuth client credentials against real servers: one that gives tokens, one that wants them."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest

from convergence_cluster.bootstrap.providers import build_endpoint
from convergence_cluster.domain.calls import Request, TestCase
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import ConvergenceError, ProviderStopError, TransientError
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.providers.http import HttpTransport
from convergence_cluster.spec.schema_api import ApiSection
from convergence_cluster.trials.protocols import Provider
from tests.contracts.loopback import Loopback, Scripted, as_json, serving
from tests.contracts.vendors import AZURE

SECRET, TOKEN, SECOND = "s3cret/with+signs", "tok-canary-1b5e9c7d4f", "tok-canary-second-77aa"
ENVIRON = {"CLIENT_ID": "me@home", "CLIENT_SECRET": SECRET}
REQUEST = Request(
    configuration={"model": "small-1"},
    case=TestCase(id=CaseId("one"), input={"prompt": "Why?"}),
    idempotency_key="study:0:0:0",
)
FORBIDDEN = (
    SECRET,
    "s3cret%2Fwith%2Bsigns",
    base64.b64encode(b"me%40home:s3cret%2Fwith%2Bsigns").decode(),
    TOKEN,
    SECOND,
)
T = TypeVar("T")


def given(token: str = TOKEN, **more: Any) -> Scripted:
    return as_json({"access_token": token, "token_type": "Bearer", "expires_in": 3600, **more})


async def with_servers(
    tokens: tuple[Scripted, ...],
    answers: tuple[Scripted, ...],
    act: Callable[[Provider], Awaitable[T]],
) -> tuple[T, Loopback, Loopback]:
    async with serving(*tokens) as giver, serving(*answers) as server:
        api = ApiSection.model_validate(
            {
                "name": "x",
                "provider": "azure",
                "endpoint": server.url,
                "auth": {
                    "type": "oauth",
                    "token_url": f"{giver.url}/tenant/oauth2/token",
                    "client_id_env": "CLIENT_ID",
                    "client_secret_env": "CLIENT_SECRET",
                    "scope": "https://cognitiveservices.azure.com/.default",
                },
            }
        )
        clock = SystemClock()
        transport = HttpTransport(clock=clock, environ=ENVIRON)
        provider = build_endpoint(api, server.url, transport=transport, environ=ENVIRON, clock=clock)
        try:
            return await act(provider), giver, server
        finally:
            await provider.close()


def run(n_calls: int, tokens: tuple[Scripted, ...], *answers: Scripted) -> tuple[list[Any], Loopback, Loopback]:
    async def act(provider: Provider) -> list[Any]:
        return await asyncio.gather(*(provider.send(REQUEST) for _ in range(n_calls)), return_exceptions=True)

    return asyncio.run(with_servers(tokens, answers or (as_json(AZURE.answer),), act))


def test_a_token_is_fetched_as_the_standard_says_and_sent() -> None:
    (answer,), giver, server = run(1, (given(),))

    (asked,) = giver.received
    assert (asked.method, asked.target) == ("POST", "/tenant/oauth2/token")
    assert asked.body == b"grant_type=client_credentials&scope=https%3A%2F%2Fcognitiveservices.azure.com%2F.default"
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert base64.b64decode(asked.headers["authorization"].split()[1]) == b"me%40home:s3cret%2Fwith%2Bsigns"
    assert server.received[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert answer.text == "The answer is 42."


def test_many_calls_at_once_share_one_token() -> None:
    answers, giver, server = run(20, (given(),))

    assert len(giver.received) == 1
    assert [answer.text for answer in answers] == ["The answer is 42."] * 20
    assert {received.headers["authorization"] for received in server.received} == {f"Bearer {TOKEN}"}


def test_a_token_is_renewed_before_it_expires() -> None:
    async def act(provider: Provider) -> None:
        await provider.send(REQUEST)
        await provider.send(REQUEST)
        await asyncio.sleep(0.5)
        await provider.send(REQUEST)

    tokens = (given(expires_in=0.5), given(SECOND))
    _, giver, server = asyncio.run(with_servers(tokens, (as_json(AZURE.answer),), act))

    sent = [received.headers["authorization"] for received in server.received]
    assert sent == [f"Bearer {TOKEN}", f"Bearer {TOKEN}", f"Bearer {SECOND}"]
    assert len(giver.received) == 2


def test_a_token_that_is_not_accepted_any_more_is_renewed_for_every_call_that_had_it() -> None:
    denied = as_json({"error": {"code": "401", "message": "Expired."}}, status=401)

    answers, giver, _ = run(3, (given(), given(SECOND)), denied, denied, denied, as_json(AZURE.answer))

    assert [answer.text for answer in answers] == ["The answer is 42."] * 3
    assert len(giver.received) == 2


def test_a_fresh_token_that_is_not_accepted_stops_the_study() -> None:
    (caught,), giver, server = run(1, (given(),), as_json({"error": "Denied"}, status=401))

    assert type(caught) is ProviderStopError
    assert not caught.is_unsent
    assert (len(giver.received), len(server.received)) == (2, 2)


def test_a_call_without_a_token_was_not_sent_unless_it_went_out_with_an_earlier_one() -> None:
    refused = as_json({"error": "invalid_client"}, status=401)
    denied = as_json({"error": {"code": "401", "message": "Expired."}}, status=401)

    (at_first,), _, untouched = run(1, (refused,))
    (later,), _, server = run(1, (given(), refused), denied)

    assert (at_first.is_unsent, len(untouched.received)) == (True, 0)
    assert (later.is_unsent, len(server.received)) == (False, 1)


@pytest.mark.parametrize(
    ("scripted", "expected", "message"),
    [
        (
            as_json({"error": "invalid_client", "error_description": SECRET}, status=401),
            ProviderStopError,
            "invalid_client",
        ),
        (as_json({"error": f"bad secret {SECRET}"}, status=401), ProviderStopError, "bad secret [redacted]"),
        (as_json({"error": "invalid_scope"}, status=400), ProviderStopError, "invalid_scope"),
        (as_json({"token_type": "Bearer"}), ProviderStopError, "no access_token"),
        (as_json(["x"]), ProviderStopError, "no access_token"),
        (as_json({}, status=503), TransientError, "HTTP 503"),
        (as_json({"error": "slow_down"}, status=429), TransientError, "slow_down"),
        (Scripted(is_silent=True), TransientError, "no token"),
        (Scripted(body=b'{"access_token": "' + TOKEN.encode()), ProviderStopError, "no access_token"),
    ],
)
def test_without_a_token_nothing_is_sent_and_nothing_can_be_billed(
    scripted: Scripted, expected: type[ConvergenceError], message: str
) -> None:
    (caught,), _, server = run(1, (scripted,))

    assert type(caught) is expected
    assert message in str(caught)
    assert SECRET not in str(caught)
    assert server.received == []
    assert not isinstance(caught, TransientError) or caught.kind == "error"


@pytest.mark.parametrize("status", [200, 400, 401, 429, 500])
@pytest.mark.parametrize("echoing", ["token endpoint", "API"])
def test_neither_secret_nor_token_is_found_anywhere(
    status: int, echoing: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = Scripted(is_echo=True, status=status)

    async def act(provider: Provider) -> str:
        try:
            return repr(await provider.send(REQUEST))
        except ConvergenceError as caught:
            return f"{caught!r} {caught.__cause__!r} {caught.__context__!r} {vars(provider)!r}"

    written, _, _ = asyncio.run(with_servers((echo if echoing != "API" else given(),), (echo,), act))

    assert not [text for text in (written, caplog.text) for secret in FORBIDDEN if secret in text]
