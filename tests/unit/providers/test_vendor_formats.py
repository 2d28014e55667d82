"""What differs between vendors beyond their documented examples."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from convergence_cluster.domain.calls import Answer, Finish, Usage
from convergence_cluster.domain.errors import InfeasibleError, PermanentError, TransientError
from convergence_cluster.providers.anthropic import ANTHROPIC, DEFAULT_MAX_TOKENS
from convergence_cluster.providers.chat import ChatFormat, ChatProvider, ChatRule
from convergence_cluster.providers.gemini import GEMINI
from convergence_cluster.providers.http import Endpoint
from convergence_cluster.providers.openai_responses import OPENAI_RESPONSES
from tests.unit.metering.virtual_time import FixedClock
from tests.unit.providers.fakes import MemoryTransport, request

ANSWERS: dict[str, Any] = {
    "anthropic": {"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn"},
    "gemini": {"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]},
    "responses": {
        "status": "completed",
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "hi"}]}],
    },
}
WIRES = {"anthropic": ANTHROPIC, "gemini": GEMINI, "responses": OPENAI_RESPONSES}
DIALOGUE = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
    {"role": "assistant", "content": "Because."},
    {"role": "user", "content": "Really?"},
]


def send(
    name: str,
    configuration: Mapping[str, Any],
    case_input: Mapping[str, Any] | None = None,
    *,
    body: Mapping[str, Any] | None = None,
    answer: Any = None,
    status: int = 200,
    endpoint: Endpoint | None = None,
) -> tuple[MemoryTransport, Answer]:
    wire: ChatFormat = WIRES[name]
    transport = MemoryTransport(json.dumps(ANSWERS[name] if answer is None else answer).encode(), status=status)
    provider = ChatProvider(
        transport=transport,
        endpoint=endpoint or Endpoint(url="https://host/{model}"),
        clock=FixedClock(),
        wire=wire,
        rule=ChatRule(body=body or {}),
    )
    given = request({"model": "m-1", **configuration}, case_input or {"prompt": "Why?"})
    return transport, asyncio.run(provider.send(given))


def sent(name: str, configuration: Mapping[str, Any], case: Mapping[str, Any] | None = None, **options: Any) -> Any:
    return send(name, configuration, case, **options)[0].sent


def answered(name: str, answer: Any) -> Answer:
    return send(name, {}, answer=answer)[1]


def test_a_dialogue_is_written_as_each_vendor_wants_it() -> None:
    case = {"messages": DIALOGUE}

    anthropic, gemini, responses = (sent(name, {}, case) for name in ("anthropic", "gemini", "responses"))

    assert (anthropic["system"], anthropic["messages"]) == ("Be kind.", DIALOGUE[1:])
    assert (responses["instructions"], responses["input"]) == ("Be kind.", DIALOGUE[1:])
    assert gemini["systemInstruction"] == {"parts": [{"text": "Be kind."}]}
    assert gemini["contents"] == [
        {"role": "user", "parts": [{"text": "Why?"}]},
        {"role": "model", "parts": [{"text": "Because."}]},
        {"role": "user", "parts": [{"text": "Really?"}]},
    ]


def test_anthropics_required_limit_is_sent_for_a_study_without_one() -> None:
    assert sent("anthropic", {})["max_tokens"] == DEFAULT_MAX_TOKENS
    assert sent("anthropic", {}, body={"max_tokens": 9})["max_tokens"] == 9
    assert sent("anthropic", {"max_completion_tokens": 8}, body={"max_tokens": 9})["max_tokens"] == 8


@pytest.mark.parametrize(
    ("budget", "expected"), [(2048, {"type": "enabled", "budget_tokens": 2048}), (0, {"type": "disabled"})]
)
def test_a_budget_for_thinking_turns_it_on_or_off(budget: int, expected: Any) -> None:
    assert sent("anthropic", {"thinking_budget": budget})["thinking"] == expected


def test_a_single_stop_becomes_a_list() -> None:
    assert sent("anthropic", {"stop": "END"})["stop_sequences"] == ["END"]
    assert sent("gemini", {"stop": "END"})["generationConfig"]["stopSequences"] == ["END"]
    assert sent("gemini", {"stop": ["A", "B"]})["generationConfig"]["stopSequences"] == ["A", "B"]


def test_a_header_of_the_study_goes_before_the_vendors() -> None:
    endpoint = Endpoint(url="x", headers={"Anthropic-Version": "2099-01-01"})

    assert "anthropic-version" not in send("anthropic", {}, endpoint=endpoint)[0].headers
    assert send("anthropic", {})[0].headers["anthropic-version"] == "2023-06-01"


def test_a_fixed_body_in_the_vendors_own_words_is_completed_by_parameters_and_not_changed() -> None:
    body = {
        "contents": [{"role": "user", "parts": [{"text": "{{ case.q }}"}]}],
        "generationConfig": {"topK": 40, "temperature": 1.0},
        "safetySettings": [],
    }

    first = sent("gemini", {"temperature": 0.1, "system_prompt": "Be brief."}, {"q": "Why?"}, body=body)

    assert first == {
        "contents": [{"role": "user", "parts": [{"text": "Why?"}]}],
        "generationConfig": {"topK": 40, "temperature": 0.1},
        "safetySettings": [],
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
    }
    assert body["generationConfig"] == {"topK": 40, "temperature": 1.0}
    assert sent("responses", {}, {"q": "Why?"}, body={"input": "{{ case.q }}"})["input"] == "Why?"


def test_a_case_keeps_its_own_fields_as_they_are() -> None:
    case = {"messages": DIALOGUE, "generationConfig": {"topK": 40}}

    first = sent("gemini", {"temperature": 0.1}, case)

    assert first["generationConfig"] == {"topK": 40, "temperature": 0.1}
    assert case["generationConfig"] == {"topK": 40}


@pytest.mark.parametrize("model", ["models/m-1", "m-1"])
def test_the_model_of_gemini_is_in_the_url_alone(model: str) -> None:
    transport, _ = send("gemini", {"model": model})

    assert transport.url == "https://host/m-1"
    assert "model" not in transport.sent


def test_a_model_cannot_leave_its_place_in_the_url() -> None:
    assert send("gemini", {"model": "../../x?y#z"})[0].url == "https://host/..%2F..%2Fx%3Fy%23z"


def test_a_url_that_needs_a_model_says_so() -> None:
    with pytest.raises(PermanentError, match="no parameter `model`"):
        send("gemini", {"model": None})


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("SAFETY", Finish.REFUSAL),
        ("RECITATION", Finish.REFUSAL),
        ("BLOCKLIST", Finish.REFUSAL),
        ("PROHIBITED_CONTENT", Finish.REFUSAL),
        ("SPII", Finish.REFUSAL),
        ("IMAGE_SAFETY", Finish.REFUSAL),
        ("MAX_TOKENS", Finish.LENGTH),
        ("STOP", Finish.STOP),
        ("MALFORMED_FUNCTION_CALL", Finish.OTHER),
        (None, Finish.OTHER),
    ],
)
def test_each_finish_of_gemini_has_its_meaning(reason: str | None, expected: Finish) -> None:
    assert answered("gemini", {"candidates": [{"finishReason": reason}]}).finish is expected


def test_what_gemini_thought_and_what_its_tools_read_is_counted() -> None:
    usage = {
        "promptTokenCount": 10,
        "toolUsePromptTokenCount": 5,
        "candidatesTokenCount": 2,
        "thoughtsTokenCount": 30,
        "cachedContentTokenCount": 4,
    }

    answer = answered("gemini", ANSWERS["gemini"] | {"usageMetadata": usage})

    assert answer.usage == Usage(input_tokens=15, output_tokens=32, cached_tokens=4, reasoning_tokens=30)


def test_a_blocked_prompt_of_gemini_says_why() -> None:
    answer = answered("gemini", {"promptFeedback": {"blockReason": "SAFETY"}})

    assert (answer.text, answer.finish) == ("The prompt was blocked: SAFETY", Finish.REFUSAL)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP),
        ("tool_use", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("refusal", Finish.REFUSAL),
        ("pause_turn", Finish.OTHER),
    ],
)
def test_each_stop_reason_of_anthropic_has_its_meaning(reason: str, expected: Finish) -> None:
    assert answered("anthropic", ANSWERS["anthropic"] | {"stop_reason": reason}).finish is expected


def test_a_filtered_response_is_a_refusal() -> None:
    answer = ANSWERS["responses"] | {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}

    assert answered("responses", answer).finish is Finish.REFUSAL


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("anthropic", {"content": [{"type": "tool_use", "name": "f", "input": {}}], "stop_reason": "tool_use"}),
        ("gemini", {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f"}}]}, "finishReason": "STOP"}]}),
        ("responses", {"status": "completed", "output": [{"type": "function_call", "name": "f"}]}),
    ],
)
def test_calls_of_tools_are_the_text_of_an_answer_without_one(name: str, answer: Any) -> None:
    (call,) = json.loads(answered(name, answer).text)

    assert "f" in json.dumps(call)


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("answer", [{}, [], "text", {"content": 1}, {"candidates": []}, {"output": None}])
def test_an_answer_without_content_is_worth_another_attempt(name: str, answer: Any) -> None:
    with pytest.raises(TransientError) as caught:
        answered(name, answer)

    assert caught.value.kind == "unknown"


@pytest.mark.parametrize(
    ("name", "parameter", "value", "message"),
    [
        ("anthropic", "reasoning_effort", "xhigh", "This model does not support effort level 'xhigh'."),
        ("anthropic", "thinking_budget", 10, "thinking.enabled.budget_tokens: at least 1024"),
        ("gemini", "max_tokens", 9, "maxOutputTokens must be positive"),
        ("gemini", "max_tokens", 9, "generation_config.max_output_tokens must be positive"),
        ("gemini", "reasoning_effort", "minimal", "Thinking level is not supported: thinking_level"),
        ("responses", "max_tokens", 9, "Expected a value >= 16 for max_output_tokens"),
    ],
)
def test_a_parameter_is_recognised_by_the_vendors_name_for_it(
    name: str, parameter: str, value: object, message: str
) -> None:
    with pytest.raises(InfeasibleError, match=f"parameter '{parameter}'"):
        send(name, {parameter: value}, answer={"error": {"message": message}}, status=400)


def test_an_over_long_prompt_is_not_blamed_on_a_parameter() -> None:
    message = "prompt is too long: 210000 tokens > 200000 maximum"

    with pytest.raises(PermanentError) as caught:
        send("anthropic", {"temperature": 0.5}, answer={"error": {"message": message}}, status=400)

    assert type(caught.value) is PermanentError
