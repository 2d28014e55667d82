"""Whatever a server writes, an adapter answers or raises one of our errors."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convergence_cluster.domain.calls import Answer
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.providers.anthropic import ANTHROPIC
from convergence_cluster.providers.chat import ChatProvider
from convergence_cluster.providers.gemini import GEMINI
from convergence_cluster.providers.generic import GenericProvider
from convergence_cluster.providers.http import Endpoint
from convergence_cluster.providers.openai_chat import OPENAI_COMPATIBLE
from convergence_cluster.providers.openai_responses import OPENAI_RESPONSES
from convergence_cluster.providers.response_rule import CostTerm, ResponseRule
from convergence_cluster.trials.protocols import Provider
from tests.unit.metering.virtual_time import FixedClock
from tests.unit.providers.fakes import MemoryTransport, request

KEYS = st.sampled_from(
    [
        "error",
        "message",
        "choices",
        "content",
        "usage",
        "prompt_tokens",
        "input_tokens",
        "cache_read_input_tokens",
        "prompt_tokens_details",
        "cached_tokens",
        "cost",
        "cost_details",
        "details",
        "violations",
        "retryDelay",
        "detail",
        "loc",
        "msg",
        "param",
        "code",
        "type",
        "finish_reason",
        "refusal",
        "tool_calls",
        "text",
        "model",
        "delta",
        "stop_reason",
        "thinking",
        "candidates",
        "parts",
        "promptFeedback",
        "blockReason",
        "usageMetadata",
        "thoughtsTokenCount",
        "output",
        "status",
        "incomplete_details",
        "output_tokens_details",
        "fieldViolations",
    ]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([float("nan"), float("inf"), 10**400])
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(max_size=5) | st.sampled_from(["error", "1s"])
BODIES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=20
)
CHOICES = st.fixed_dictionaries({"choices": st.lists(BODIES, max_size=2), "usage": BODIES, "model": BODIES})
MESSAGES = st.fixed_dictionaries(
    {
        "choices": st.lists(st.fixed_dictionaries({"message": BODIES, "finish_reason": BODIES}), max_size=2),
        "usage": BODIES,
    }
)
ERRORS = st.fixed_dictionaries({"error": BODIES, "detail": BODIES})


@given(body=BODIES | CHOICES | MESSAGES | ERRORS, status=st.sampled_from([200, 200, 200, 400, 404, 429, 500]))
@settings(deadline=None, max_examples=100)
def test_any_json_is_an_answer_or_an_error_of_ours(body: Any, status: int) -> None:
    _send_to_all(body, status)


def _chats(transport: MemoryTransport, endpoint: Endpoint) -> list[Provider]:
    wires = (OPENAI_COMPATIBLE, OPENAI_RESPONSES, ANTHROPIC, GEMINI)
    return [ChatProvider(transport=transport, endpoint=endpoint, clock=FixedClock(), wire=wire) for wire in wires]


def _send_to_all(body: Any, status: int) -> None:
    transport = MemoryTransport(json.dumps(body).encode(), status=status)
    endpoint = Endpoint(url="https://api.example.com")
    rule = ResponseRule(
        result="choices[0].message.content",
        cost=(CostTerm(path="usage.cost"),),
        error="error",
        success_when="body.choices",
        finish="choices[0].finish_reason",
    )
    providers: list[Provider] = [
        *_chats(transport, endpoint),
        GenericProvider(transport=transport, endpoint=endpoint, clock=FixedClock(), response=rule),
        GenericProvider(transport=transport, endpoint=endpoint, clock=FixedClock()),
    ]

    async def send_to_all() -> None:
        for provider in providers:
            with contextlib.suppress(ConvergenceError):
                answer = await provider.send(request({"temperature": 1, "model": "m"}, {"prompt": "x"}))
                assert isinstance(answer, Answer)

    asyncio.run(send_to_all())


NAN, INF = float("nan"), float("inf")
MESSAGE = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}


ODD: list[Any] = [NAN, INF, -1, "9", "per day", None, True, [], {}, [1], [[]], [{}], {"a": 1}, 10**400]
ENVELOPES: list[Callable[[Any], Any]] = [
    lambda odd: MESSAGE | {"usage": {"prompt_tokens": odd, "completion_tokens": odd, "cost": odd}},
    lambda odd: MESSAGE | {"usage": {"prompt_tokens": 1, "prompt_tokens_details": odd}},
    lambda odd: MESSAGE | {"usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": odd}}},
    lambda odd: MESSAGE | {"usage": {"cost": 1, "is_byok": True, "cost_details": {"upstream_inference_cost": odd}}},
    lambda odd: {"choices": [{"message": {"content": odd, "tool_calls": odd}, "finish_reason": odd}]},
    lambda odd: {"error": {"details": odd}},
    lambda odd: {"error": {"details": [{"violations": odd, "retryDelay": odd}], "message": "m"}},
    lambda odd: {"error": {"param": odd, "code": odd, "message": odd}},
    lambda odd: {"detail": [{"loc": odd, "msg": odd}]},
    lambda odd: {"error": {"details": [{"fieldViolations": odd}, {"fieldViolations": [odd, {"field": odd}]}]}},
    lambda odd: {"content": odd, "stop_reason": odd, "usage": {"input_tokens": odd, "output_tokens_details": odd}},
    lambda odd: {"content": [odd, {"type": "text", "text": odd}, {"type": odd}], "usage": odd},
    lambda odd: {"candidates": odd, "promptFeedback": odd, "usageMetadata": odd},
    lambda odd: {"candidates": [{"content": odd, "finishReason": odd}], "usageMetadata": {"promptTokenCount": odd}},
    lambda odd: {"candidates": [{"content": {"parts": [odd, {"text": odd, "thought": odd}]}}]},
    lambda odd: {"promptFeedback": {"blockReason": odd}, "modelVersion": odd},
    lambda odd: {"status": odd, "output": odd, "incomplete_details": odd},
    lambda odd: {"status": "incomplete", "output": [odd, {"type": "message", "content": odd}]},
    lambda odd: {"status": "completed", "output": [{"type": "message", "content": [odd, {"type": odd, "text": odd}]}]},
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: repr(odd)[:10])
@pytest.mark.parametrize("envelope", ENVELOPES)
@pytest.mark.parametrize("status", [200, 400, 429])
def test_known_oddities_are_answers_or_errors_of_ours(odd: Any, envelope: Callable[[Any], Any], status: int) -> None:
    _send_to_all(envelope(odd), status)


@given(
    body=st.binary(max_size=60)
    | st.just(b"[" * 100_000)
    | st.just(b"data: " + b"[" * 10_000)
    | st.binary(max_size=9).map(lambda b: b"data: {" + b)
)
@settings(deadline=None)
def test_any_bytes_are_an_answer_or_an_error_of_ours(body: bytes) -> None:
    for content_type in ("application/json", "text/plain", "text/event-stream"):
        transport = MemoryTransport(body, content_type=content_type)
        endpoint = Endpoint(url="https://h")
        providers: list[Provider] = [GenericProvider(transport=transport, endpoint=endpoint, clock=FixedClock())]
        providers += _chats(transport, endpoint)
        for provider in providers:
            with contextlib.suppress(ConvergenceError):
                asyncio.run(provider.send(request({}, {"prompt": "x"})))
