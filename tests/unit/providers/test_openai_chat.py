"""Chat completions."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from convergence_cluster.domain.calls import Answer, Finish, Usage
from convergence_cluster.domain.errors import PermanentError, TransientError
from convergence_cluster.providers.chat import ChatFormat, ChatProvider, ChatRule
from convergence_cluster.providers.http import Endpoint
from convergence_cluster.providers.openai_chat import OPENAI_COMPATIBLE
from tests.unit.metering.virtual_time import FixedClock
from tests.unit.providers.fakes import MemoryTransport, request

ANSWER: dict[str, Any] = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}


def send(
    configuration: Mapping[str, Any],
    case_input: Mapping[str, Any],
    *,
    rule: ChatRule | None = None,
    body: Any = None,
    wire: ChatFormat = OPENAI_COMPATIBLE,
) -> tuple[Any, Answer]:
    transport = MemoryTransport(json.dumps(ANSWER if body is None else body).encode())
    provider = ChatProvider(transport=transport, endpoint=Endpoint(url="x"), clock=FixedClock(), rule=rule, wire=wire)
    answer = asyncio.run(provider.send(request(configuration, case_input)))
    return transport.sent, answer


def sent(
    configuration: Mapping[str, Any],
    case_input: Mapping[str, Any],
    rule: ChatRule | None = None,
    wire: ChatFormat = OPENAI_COMPATIBLE,
) -> Any:
    return send(configuration, case_input, rule=rule, wire=wire)[0]


def answered(body: Any, rule: ChatRule | None = None) -> Answer:
    return send({}, {"prompt": "x"}, body=body, rule=rule)[1]


@pytest.mark.parametrize("key", ["prompt", "question", "input", "text", "query"])
def test_a_text_of_the_case_is_the_user_message(key: str) -> None:
    assert sent({"model": "m"}, {key: "Why?", "context": "unused"}) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Why?"}],
    }


def test_messages_of_the_case_go_as_they_are_with_its_other_keys() -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]

    assert sent({"model": "m", "n": 2}, {"messages": messages, "user": "u", "n": 1}) == {
        "model": "m",
        "n": 2,
        "user": "u",
        "messages": messages,
    }


def test_a_system_prompt_takes_the_place_of_the_cases_own() -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Why?"}]

    body = sent({"system_prompt": "Be brief."}, {"messages": messages})

    assert body == {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]}


def test_a_prompt_template_is_rendered_over_the_case() -> None:
    body = sent({"prompt_template": "{{ case.q }} ({{ params.n }})", "n": 3}, {"q": "Why?", "context": "unused"})

    assert body == {"n": 3, "messages": [{"role": "user", "content": "Why? (3)"}]}


def test_a_prompt_template_without_a_variable_is_a_message_too() -> None:
    assert sent({"prompt_template": "Hello."}, {"q": "Why?"})["messages"] == [{"role": "user", "content": "Hello."}]


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_token_limit_goes_under_the_name_that_the_study_says(name: str) -> None:
    other = ({"max_tokens", "max_completion_tokens"} - {name}).pop()

    assert sent({name: 64}, {"prompt": "x"})[name] == 64
    renamed = sent({name: 64}, {"prompt": "x"}, wire=replace(OPENAI_COMPATIBLE, places={name: (other,)}))
    assert renamed[other] == 64
    assert name not in renamed


def test_fixed_fields_are_templates_that_parameters_overrule() -> None:
    rule = ChatRule(body={"model": "fixed", "user": "{{ case.id }}", "seed": "{{ params.s | default(omit) }}"})

    assert sent({"model": "searched"}, {"prompt": "x"}, rule) == {
        "model": "searched",
        "user": "one",
        "messages": [{"role": "user", "content": "x"}],
    }


def test_a_case_without_a_text_names_what_was_expected() -> None:
    with pytest.raises(PermanentError, match=r"test case 'one' has \['q'\] .* expected one of messages, prompt"):
        sent({}, {"q": "Why?"})


def streamed(*chunks: Any) -> bytes:
    lines = [": comment", *(f"data: {json.dumps(chunk)}" for chunk in chunks), "data: [DONE]", ""]
    return "\n\n".join(lines).encode()


def piece(reason: str | None = None, **delta: Any) -> Any:
    return {"model": "m-1", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}], "usage": None}


def from_stream(body: bytes) -> Answer:
    transport = MemoryTransport(body, content_type="text/event-stream; charset=utf-8")
    provider = ChatProvider(transport=transport, endpoint=Endpoint(url="x"), clock=FixedClock(), wire=OPENAI_COMPATIBLE)
    return asyncio.run(provider.send(request({"stream": True}, {"prompt": "x"})))


def test_a_stream_is_put_together() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 2}

    answer = from_stream(
        streamed(
            piece(role="assistant"),
            piece(content="4"),
            piece(content="2"),
            piece("stop"),
            {"choices": [], "usage": usage},
        )
    )

    assert (answer.text, answer.finish, answer.model) == ("42", Finish.STOP, "m-1")
    assert answer.usage == Usage(input_tokens=5, output_tokens=2)


def test_a_streamed_refusal_is_a_refusal() -> None:
    assert from_stream(streamed(piece(refusal="I can"), piece("stop", refusal="not"))).finish is Finish.REFUSAL


@pytest.mark.parametrize(
    "body",
    [b"", streamed(piece(content="4")), streamed(piece(content="4"))[:-40], b"data: {\n\n"],
    ids=["empty", "no finish", "cut", "broken"],
)
def test_half_a_stream_is_not_taken_for_a_whole(body: bytes) -> None:
    with pytest.raises(TransientError) as caught:
        from_stream(body)

    assert caught.value.kind == "unknown"


def test_an_error_within_a_stream_is_an_error() -> None:
    with pytest.raises(TransientError, match="HTTP 502: upstream"):
        from_stream(streamed(piece(content="4"), {"error": {"code": 502, "message": "upstream"}}))


def test_a_stream_asks_for_its_usage() -> None:
    assert sent({"stream": True}, {"prompt": "x"})["stream_options"] == {"include_usage": True}
    assert sent({"stream": True, "stream_options": None}, {"prompt": "x"})["stream_options"] is None
    assert "stream_options" not in sent({"stream": False}, {"prompt": "x"})


def test_the_result_field_is_honoured() -> None:
    answer = answered(ANSWER | {"extra": {"score": 3}}, ChatRule(result="extra.score"))

    assert (answer.text, answer.result) == ("hi", 3)


def test_chunks_of_text_are_joined_without_the_reasoning() -> None:
    texts = [{"type": "text", "text": digit} for digit in "42"]
    content = [{"type": "thinking", "thinking": [{"text": "hm"}]}, *texts]

    assert answered({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}).text == "42"


def test_tool_calls_are_the_text_of_an_answer_without_one() -> None:
    calls = [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}]

    answer = answered({"choices": [{"message": {"content": None, "tool_calls": calls}, "finish_reason": "tool_calls"}]})

    assert json.loads(answer.text) == calls


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [{"finish_reason": "stop"}]}, [], "text", 7])
def test_an_answer_without_a_message_is_worth_another_attempt(body: Any) -> None:
    with pytest.raises(TransientError, match="no message"):
        answered(body)


def test_an_error_as_finish_reason_is_worth_another_attempt() -> None:
    with pytest.raises(TransientError, match="stopped with an error"):
        answered({"choices": [{"message": {"content": "ha"}, "finish_reason": "error"}]})


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"cost": 0.25}, 0.25),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.5}}, 0.5),
        ({"cost": 0.25, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.5}}, 0.25),
        ({}, None),
        (None, None),
    ],
)
def test_the_cost_that_openrouter_reports_is_taken(usage: Any, expected: float | None) -> None:
    assert answered(ANSWER | {"usage": usage}).cost_usd == expected


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10**400, "completion_tokens": 1}, "reports 1.000e+400 tokens; expected from 0 to 1,000,000"),
        ({"prompt_tokens": 1, "completion_tokens": float("inf")}, "the answer reports inf tokens"),
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost": -0.5}, "the answer reports a cost of -0.5"),
        ({"prompt_tokens": 1, "completion_tokens": 1, "cost": 1e9}, "the answer reports a cost of 1000000000.0 USD"),
    ],
)
def test_tokens_and_costs_that_no_answer_can_have_make_it_malformed(usage: Any, expected: str) -> None:
    with pytest.raises(PermanentError) as caught:
        answered(ANSWER | {"usage": usage})

    assert expected in str(caught.value)
    assert caught.value.answer is not None
    assert (caught.value.answer.text, caught.value.answer.usage, caught.value.answer.cost_usd) == ("hi", None, None)
