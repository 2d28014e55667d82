"""What every provider promises, shown on every adapter against a real server with the exchanges vendors document."""

import asyncio
import gzip
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import pytest

from convergence_cluster.domain.calls import Answer, Finish, Request, TestCase, Usage
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import (
    ConvergenceError,
    InfeasibleError,
    PermanentError,
    ProviderStopError,
    TransientError,
)
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.providers.anthropic import ANTHROPIC
from convergence_cluster.providers.browserbase import BrowserbaseProvider
from convergence_cluster.providers.chat import ChatFormat, ChatProvider
from convergence_cluster.providers.credentials import Auth, AuthKind
from convergence_cluster.providers.gemini import GEMINI
from convergence_cluster.providers.generic import GenericProvider
from convergence_cluster.providers.http import Endpoint, HttpTransport
from convergence_cluster.providers.jobs import JobProvider, Polling, Step
from convergence_cluster.providers.openai_chat import OPENAI_COMPATIBLE
from convergence_cluster.providers.openai_responses import OPENAI_RESPONSES
from convergence_cluster.providers.request_rule import RequestRule
from convergence_cluster.providers.response_rule import ResponseRule
from convergence_cluster.providers.websockets import Websockets
from convergence_cluster.trials.protocols import Provider
from tests.contracts.loopback import Loopback, Scripted, as_json, serving

CANARY = "sk-canary-1b5e9c7d4f"
ENVIRON = {"THE_KEY": CANARY}
CASE = TestCase(id=CaseId("greeting"), input={"question": "What is 6 times 7?"}, expected="42")
REQUEST = Request(
    configuration={"model": "gpt-4.1-mini", "temperature": 0.2, "max_tokens": 64},
    case=CASE,
    idempotency_key="study:3:0:1",
)

Adapter = Callable[[HttpTransport, Endpoint], Provider]
T = TypeVar("T")


def chat(transport: HttpTransport, endpoint: Endpoint) -> Provider:
    return ChatProvider(transport=transport, endpoint=endpoint, clock=SystemClock(), wire=OPENAI_COMPATIBLE)


def generic(transport: HttpTransport, endpoint: Endpoint) -> Provider:
    body = {
        "model": "{{ params.model }}",
        "temperature": "{{ params.temperature }}",
        "max_tokens": "{{ params.max_tokens }}",
        "messages": [{"role": "user", "content": "{{ case.question }}"}],
    }
    return GenericProvider(
        transport=transport,
        endpoint=endpoint,
        clock=SystemClock(),
        request=RequestRule(body=body),
        response=ResponseRule(
            result="choices[0].message.content || choices[0].message.refusal",
            finish="choices[0].message.refusal && 'refusal' || choices[0].finish_reason",
            error="error",
        ),
    )


def of_wire(wire: ChatFormat) -> Adapter:
    return lambda transport, endpoint: ChatProvider(
        transport=transport, endpoint=endpoint, clock=SystemClock(), wire=wire
    )


def jobs(transport: HttpTransport, endpoint: Endpoint) -> Provider:
    polling = Polling(poll=Step(url="/poll"), done_when="`true`", interval_s=0.01)
    return JobProvider(
        transport=transport,
        endpoint=endpoint,
        clock=SystemClock(),
        polling=polling,
        response=ResponseRule(error="error"),
    )


def browserbase(transport: HttpTransport, endpoint: Endpoint) -> Provider:
    connect = Websockets(endpoint.auth, environ=ENVIRON).connect
    return BrowserbaseProvider(transport=transport, connect=connect, endpoint=endpoint, clock=SystemClock())


ALL = {
    "openai_chat": chat,
    "generic": generic,
    "anthropic": of_wire(ANTHROPIC),
    "gemini": of_wire(GEMINI),
    "openai_responses": of_wire(OPENAI_RESPONSES),
    "jobs": jobs,
    "browserbase": browserbase,
}


@pytest.fixture(params=ALL, ids=str)
def adapter(request: pytest.FixtureRequest) -> Adapter:
    return ALL[request.param]


@pytest.fixture(params=["openai_chat", "generic"])
def completing(request: pytest.FixtureRequest) -> Adapter:
    """Give the adapters that read `completion`."""
    return ALL[request.param]


def completion(**changes: Any) -> dict[str, Any]:
    """Return the example of OpenAI's reference, with details of its usage."""
    message: dict[str, Any] = {"role": "assistant", "content": "The answer is 42.", "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message | changes.pop("message", {}), "logprobs": None, "finish_reason": "stop"}
    return {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "gpt-4.1-mini-2025-04-14",
        "choices": [choice | changes],
        "usage": {
            "prompt_tokens": 19,
            "completion_tokens": 10,
            "total_tokens": 29,
            "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 4, "accepted_prediction_tokens": 0},
        },
        "service_tier": "default",
    }


def error(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None} | fields}


async def with_server(
    adapter: Adapter, script: tuple[Scripted, ...], act: Callable[[Provider, Loopback], Awaitable[T]], **options: Any
) -> T:
    async with serving(*script) as server:
        transport = HttpTransport(
            clock=SystemClock(), environ=ENVIRON, max_body_bytes=options.pop("max_body_bytes", 10_000_000)
        )
        defaults: dict[str, Any] = {
            "url": f"{server.url}/v1/chat/completions?api-version=7",
            "auth": Auth(kind=AuthKind.BEARER, token_env="THE_KEY"),
            "timeout_s": 5.0,
        }
        endpoint = Endpoint(**defaults | options)
        provider = adapter(transport, endpoint)
        try:
            return await act(provider, server)
        finally:
            await provider.close()
            await provider.close()


def ask(adapter: Adapter, *script: Scripted, **options: Any) -> Answer:
    async def act(provider: Provider, server: Loopback) -> Answer:
        return await provider.send(REQUEST)

    return asyncio.run(with_server(adapter, script, act, **options))


def refusal_of(adapter: Adapter, *script: Scripted, **options: Any) -> ConvergenceError:
    with pytest.raises(ConvergenceError) as caught:
        ask(adapter, *script, **options)
    return caught.value


def test_an_answer_comes_in_our_words(completing: Adapter) -> None:
    answer = ask(completing, as_json(completion()))

    assert answer.text == answer.result == "The answer is 42."
    assert answer.raw["id"] == "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT"
    assert (answer.status, answer.finish) == (200, Finish.STOP)
    assert answer.usage == Usage(input_tokens=19, output_tokens=10, cached_tokens=8, reasoning_tokens=4)
    assert answer.model == "gpt-4.1-mini-2025-04-14"
    assert 0.0 < answer.latency_s < 5.0


def test_the_request_carries_key_parameters_and_idempotency_key(completing: Adapter) -> None:
    async def act(provider: Provider, server: Loopback) -> Loopback:
        await provider.send(REQUEST)
        await provider.send(REQUEST)
        return server

    first, second = asyncio.run(with_server(completing, (as_json(completion()),), act)).received

    assert first.method == "POST"
    assert first.target == "/v1/chat/completions?api-version=7"
    assert first.headers["authorization"] == f"Bearer {CANARY}"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == "study:3:0:1"
    assert first.json() == {
        "model": "gpt-4.1-mini",
        "temperature": 0.2,
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "What is 6 times 7?"}],
    }


def test_a_refusal_is_told_from_an_answer(completing: Adapter) -> None:
    answer = ask(completing, as_json(completion(message={"content": None, "refusal": "I can't help with that."})))

    assert (answer.finish, answer.text) == (Finish.REFUSAL, "I can't help with that.")


def test_a_content_filter_is_a_refusal(completing: Adapter) -> None:
    assert ask(completing, as_json(completion(finish_reason="content_filter"))).finish is Finish.REFUSAL


def test_a_truncated_answer_is_told_from_a_whole_one(completing: Adapter) -> None:
    assert ask(completing, as_json(completion(finish_reason="length"))).finish is Finish.LENGTH


def test_a_compressed_answer_is_read(completing: Adapter) -> None:
    body = gzip.compress(json.dumps(completion()).encode())

    assert ask(completing, Scripted(body=body, headers={"content-encoding": "gzip"})).text == "The answer is 42."


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, error("Incorrect API key provided.", code="invalid_api_key"), ProviderStopError),
        (403, error("Country, region, or territory not supported"), ProviderStopError),
        (402, {"error": {"code": 402, "message": "Insufficient credits"}}, ProviderStopError),
        (
            429,
            error(
                "You exceeded your current quota, please check your plan.",
                type="insufficient_quota",
                code="insufficient_quota",
            ),
            ProviderStopError,
        ),
        (
            400,
            {"type": "error", "error": {"type": "invalid_request_error", "message": "Your credit balance is too low"}},
            ProviderStopError,
        ),
        (
            400,
            error(
                "Unsupported value: 'temperature' does not support 0.2 with this model. Only 1 is supported.",
                param="temperature",
                code="unsupported_value",
            ),
            InfeasibleError,
        ),
        (400, error("max_tokens is too large: 64. This model supports at most 32."), InfeasibleError),
        (404, error("The model `gpt-4.1-mini` does not exist", code="model_not_found"), InfeasibleError),
        (422, {"detail": [{"loc": ["body", "temperature"], "msg": "Input should be at most 0.1"}]}, InfeasibleError),
        (
            400,
            error(
                "This model's maximum context length is 16385 tokens.", param="messages", code="context_length_exceeded"
            ),
            PermanentError,
        ),
        (404, error("Unknown request URL"), PermanentError),
        (302, {}, PermanentError),
        (408, {}, TransientError),
        (409, error("Conflict"), TransientError),
        (429, error("Rate limit reached for requests", type="requests", code="rate_limit_exceeded"), TransientError),
        (500, error("The server had an error", type="server_error"), TransientError),
        (503, {}, TransientError),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, TransientError),
    ],
)
def test_each_status_has_its_meaning(
    adapter: Adapter, status: int, body: Any, expected: type[ConvergenceError]
) -> None:
    caught = refusal_of(adapter, as_json(body, status=status))

    assert type(caught) is expected
    assert f"HTTP {status}" in str(caught)
    assert "POST 127.0.0.1/v1/chat/completions" in str(caught)
    assert "api-version" not in str(caught)


@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        ({"retry-after-ms": "1250", "retry-after": "9"}, 1.25),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        ({}, None),
    ],
)
def test_the_providers_own_wish_is_read(adapter: Adapter, headers: Mapping[str, str], expected_s: float | None) -> None:
    caught = refusal_of(adapter, as_json(error("Rate limit reached"), status=429, headers=headers))

    assert isinstance(caught, TransientError)
    assert caught.retry_after_s == expected_s


def test_a_daily_quota_is_parked(adapter: Adapter) -> None:
    body = error("Rate limit reached for model in organization on requests per day (RPD): Limit 14400")

    caught = refusal_of(adapter, as_json(body, status=429, headers={"retry-after": "6120"}))

    assert isinstance(caught, TransientError)
    assert (caught.kind, caught.retry_after_s) == ("parked", 6120.0)


@pytest.mark.parametrize(("verdict", "expected"), [("true", TransientError), ("false", PermanentError)])
def test_x_should_retry_decides(adapter: Adapter, verdict: str, expected: type[ConvergenceError]) -> None:
    status = 400 if verdict == "true" else 500

    assert type(refusal_of(adapter, as_json({}, status=status, headers={"x-should-retry": verdict}))) is expected


@pytest.mark.parametrize(
    "scripted",
    [
        Scripted(body=b'{"choices": [{"mess', n_bytes_missing=200),
        Scripted(body=b'{"choices": [{"message": {"content": "The ans'),
        Scripted(body=b"<html>gateway</html>"),
        Scripted(is_silent=True),
        Scripted(delay_s=5.0, body=b"{}"),
        Scripted(status=504, body=b"upstream timed out"),
    ],
    ids=["cut", "half JSON", "no JSON", "closed", "slow", "gateway timeout"],
)
def test_an_answer_lost_on_the_way_has_an_unknown_outcome(adapter: Adapter, scripted: Scripted) -> None:
    caught = refusal_of(adapter, scripted, timeout_s=0.3)

    assert isinstance(caught, TransientError)
    assert caught.kind == "unknown"
    assert not caught.is_unsent
    is_whole = scripted.status == 200 and scripted.body and not (scripted.n_bytes_missing or scripted.delay_s)
    assert caught.is_outage is not bool(is_whole)


def test_a_connection_that_never_stood_has_no_unknown_outcome(adapter: Adapter) -> None:
    caught = refusal_of(adapter, as_json({}), url="http://127.0.0.1:9/v1")

    assert isinstance(caught, TransientError)
    assert caught.kind == "error"
    assert caught.is_outage
    assert caught.is_unsent


def test_an_endless_answer_is_cut_off(adapter: Adapter) -> None:
    caught = refusal_of(adapter, Scripted(body=b'"' + b"a" * 5000 + b'"'), max_body_bytes=1000)

    assert type(caught) is PermanentError
    assert "1000 bytes" in str(caught)


def test_an_error_under_status_200_is_an_error(adapter: Adapter) -> None:
    body = {"error": {"code": 502, "message": "Provider returned error", "metadata": {"provider_name": "X"}}}

    assert type(refusal_of(adapter, as_json(body))) is TransientError


def test_a_proxy_is_asked_in_the_servers_stead() -> None:
    async def act() -> Loopback:
        async with serving(as_json(completion())) as proxy:
            transport = HttpTransport(clock=SystemClock(), environ={}, proxy_url=proxy.url)
            provider = chat(transport, Endpoint(url="http://api.example.invalid/v1"))
            await provider.send(REQUEST)
            await provider.close()
            return proxy

    assert asyncio.run(act()).received[0].target == "http://api.example.invalid/v1"


def test_a_missing_key_stops_before_anything_is_sent(adapter: Adapter) -> None:
    async def act(provider: Provider, server: Loopback) -> Loopback:
        with pytest.raises(ProviderStopError, match="environment variable NOT_THERE is not set") as caught:
            await provider.send(REQUEST)
        assert caught.value.is_unsent
        return server

    auth = Auth(kind=AuthKind.BEARER, token_env="NOT_THERE")

    assert asyncio.run(with_server(adapter, (as_json({}),), act, auth=auth)).received == []


@pytest.mark.parametrize(
    "scripted",
    [
        Scripted(is_echo=True),
        Scripted(is_echo=True, status=400),
        Scripted(is_echo=True, status=401),
        Scripted(is_echo=True, status=429),
        Scripted(is_echo=True, status=500),
        Scripted(body=f"<p>{CANARY}".encode()),
        Scripted(body=f'{{"error": "{CANARY}"}}'.encode()),
        Scripted(status=400, body=f'{{"error": {{"message": "{CANARY}", "param": "model"}}}}'.encode()),
        Scripted(headers={"content-length": CANARY}),
        Scripted(is_silent=True),
    ],
)
@pytest.mark.parametrize("kind", [AuthKind.BEARER, AuthKind.API_KEY, AuthKind.BASIC])
def test_a_key_is_found_nowhere(
    adapter: Adapter, scripted: Scripted, kind: AuthKind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    auth = Auth(kind=kind, token_env="THE_KEY", header_name="authorization", username="me")
    written: list[str] = [repr(auth)]

    try:
        written.append(repr(ask(adapter, scripted, auth=auth)))
    except ConvergenceError as caught:
        link: BaseException | None = caught
        while link is not None:
            written += [repr(link), str(link), repr(getattr(link, "__dict__", None))]
            link = link.__cause__ or link.__context__
    written.append(caplog.text)

    assert len(written) >= 3
    assert not [text for text in written if CANARY in text or "bWU6c2stY2FuYXJ5" in text]
