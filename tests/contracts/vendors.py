"""The exchanges that each vendor documents: what it is asked, what it answers, how it refuses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from convergence_cluster.domain.calls import Usage
from convergence_cluster.domain.errors import (
    ConvergenceError,
    InfeasibleError,
    PermanentError,
    ProviderStopError,
    TransientError,
)

CONFIGURATION = {
    "model": "small-1",
    "temperature": 0.2,
    "max_tokens": 64,
    "system_prompt": "Be brief.",
    "effort_of_study": "low",
}
QUESTION, ANSWER, REFUSAL = "What is 6 times 7?", "The answer is 42.", "I can't help with that."


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A refusal as the vendor writes it."""

    status: int
    body: Any
    expected: type[ConvergenceError]
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_s: float | None = None
    kind: str | None = None


@dataclass(frozen=True, kw_only=True)
class Vendor:
    """One `api.provider` with the recorded side of its conversation."""

    name: str
    provider: str
    endpoint: str
    """Path and query of the endpoint in the study file."""
    target: str
    """Path and query on the wire."""
    sent: Mapping[str, Any]
    """The body on the wire for CONFIGURATION and QUESTION."""
    answer: Any
    usage: Usage
    refused: Any
    truncated: Any
    faults: tuple[Fault, ...]
    stream: tuple[Any, ...]
    """Events that make up `answer`, but for `[DONE]` and fields that only an answer in one has."""
    auth: Mapping[str, str] = field(default_factory=lambda: {"type": "bearer"})
    key_header: str = "authorization"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent beside the key."""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"reasoning_effort": "low"})
    cost_usd: float | None = None
    """What the answer itself says it cost."""
    url: str = ""
    """The hosted API, for its prices."""
    priced_model: str = ""
    has_quotas: bool = True
    streamed_target: str | None = None
    streamed_usage: Usage | None = None
    """Where a stream tells less than an answer in one."""


def chat_answer(message: Mapping[str, Any] | None = None, finish: str = "stop", **usage: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": ANSWER, "refusal": None, **(message or {})}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "small-1-2026",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29, **usage},
    }


def chat_stream(**usage: Any) -> tuple[Any, ...]:
    def chunk(finish: str | None = None, **delta: Any) -> Any:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "small-1-2026", "choices": [choice]}

    tokens = {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29, **usage}
    last = {"id": "chatcmpl-1", "model": "small-1-2026", "choices": [], "usage": tokens}
    return (chunk(role="assistant"), chunk(content=ANSWER[:5]), chunk(content=ANSWER[5:]), chunk("stop"), last)


def openai_error(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None} | fields}


OPENAI_DETAILS: dict[str, Any] = {
    "prompt_tokens_details": {"cached_tokens": 8, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
OPENAI_USAGE = Usage(input_tokens=19, output_tokens=10, cached_tokens=8, reasoning_tokens=4)
PLAIN_USAGE = Usage(input_tokens=19, output_tokens=10)
SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": QUESTION}
CHAT_SENT = {"model": "small-1", "temperature": 0.2, "reasoning_effort": "low", "messages": [SYSTEM, USER]}
OPENAI_FAULTS = (
    Fault(
        status=400,
        body=openai_error(
            "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is "
            "supported.",
            param="temperature",
            code="unsupported_value",
        ),
        expected=InfeasibleError,
    ),
    Fault(
        status=400,
        body=openai_error("max_tokens is too large: 64.", param="max_completion_tokens", code="invalid_value"),
        expected=PermanentError,
    ),
    Fault(status=401, body=openai_error("Incorrect API key", code="invalid_api_key"), expected=ProviderStopError),
    Fault(
        status=404,
        body=openai_error("The model `small-1` does not exist", code="model_not_found"),
        expected=InfeasibleError,
    ),
    Fault(
        status=429,
        body=openai_error("Rate limit reached for requests", type="requests", code="rate_limit_exceeded"),
        headers={
            "retry-after-ms": "1250",
            "retry-after": "2",
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "6m0s",
        },
        expected=TransientError,
        wait_s=1.25,
        kind="error",
    ),
    Fault(
        status=429,
        body=openai_error("Rate limit reached on requests per day (RPD): Limit 200", code="rate_limit_exceeded"),
        headers={"retry-after": "6120"},
        expected=TransientError,
        wait_s=6120.0,
        kind="parked",
    ),
    Fault(
        status=429,
        body=openai_error("You exceeded your current quota", type="insufficient_quota", code="insufficient_quota"),
        expected=ProviderStopError,
    ),
    Fault(status=500, body=openai_error("The server had an error", type="server_error"), expected=TransientError),
)

OPENAI = Vendor(
    name="openai",
    provider="openai",
    endpoint="/v1/chat/completions",
    target="/v1/chat/completions",
    sent={**CHAT_SENT, "max_tokens": 64},
    answer=chat_answer(**OPENAI_DETAILS),
    usage=OPENAI_USAGE,
    refused=chat_answer({"content": None, "refusal": REFUSAL}),
    truncated=chat_answer(finish="length"),
    stream=chat_stream(**OPENAI_DETAILS),
    faults=OPENAI_FAULTS,
    url="https://api.openai.com/v1/chat/completions",
    priced_model="gpt-5-mini",
)

ANTHROPIC_ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "small-1-2026",
    "content": [{"type": "thinking", "thinking": "6 x 7", "signature": "s"}, {"type": "text", "text": ANSWER}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 19,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 8,
        "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 0},
        "output_tokens": 10,
        "output_tokens_details": {"thinking_tokens": 4},
        "service_tier": "standard",
    },
}


def anthropic_error(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


ANTHROPIC = Vendor(
    name="anthropic",
    provider="anthropic",
    endpoint="",
    target="/v1/messages",
    auth={"type": "api_key"},
    key_header="x-api-key",
    headers={"anthropic-version": "2023-06-01"},
    sent={
        "model": "small-1",
        "max_tokens": 64,
        "temperature": 0.2,
        "system": "Be brief.",
        "messages": [USER],
        "output_config": {"effort": "low"},
    },
    answer=ANTHROPIC_ANSWER,
    usage=Usage(input_tokens=30, output_tokens=10, cached_tokens=8, cache_write_tokens=3, reasoning_tokens=4),
    refused=ANTHROPIC_ANSWER | {"content": [{"type": "text", "text": REFUSAL}], "stop_reason": "refusal"},
    truncated=ANTHROPIC_ANSWER | {"stop_reason": "max_tokens"},
    stream=(
        {
            "type": "message_start",
            "message": ANTHROPIC_ANSWER
            | {"content": [], "stop_reason": None, "usage": ANTHROPIC_ANSWER["usage"] | {"output_tokens": 1}},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "6 x 7"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": ANSWER[:5]}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": ANSWER[5:]}},
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 10},
        },
        {"type": "message_stop"},
    ),
    faults=(
        Fault(
            status=400,
            body=anthropic_error(
                "invalid_request_error",
                "This model does not support effort level 'low'. Supported levels: high, max, medium.",
            ),
            expected=InfeasibleError,
        ),
        Fault(
            status=400,
            body=anthropic_error("invalid_request_error", "temperature: range: 0..1"),
            expected=InfeasibleError,
        ),
        Fault(
            status=400,
            body=anthropic_error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
            expected=PermanentError,
        ),
        Fault(
            status=400,
            body=anthropic_error(
                "invalid_request_error", "Your credit balance is too low to access the Anthropic API."
            ),
            expected=ProviderStopError,
        ),
        Fault(
            status=401, body=anthropic_error("authentication_error", "invalid x-api-key"), expected=ProviderStopError
        ),
        Fault(status=402, body=anthropic_error("billing_error", "Payment required"), expected=ProviderStopError),
        Fault(status=403, body=anthropic_error("permission_error", "Not allowed"), expected=ProviderStopError),
        Fault(status=404, body=anthropic_error("not_found_error", "model: small-1"), expected=InfeasibleError),
        Fault(status=413, body=anthropic_error("request_too_large", "Request too large"), expected=PermanentError),
        Fault(
            status=429,
            body=anthropic_error("rate_limit_error", "This request would exceed your rate limit"),
            headers={
                "retry-after": "7",
                "anthropic-ratelimit-requests-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2100-01-01T00:00:00Z",
            },
            expected=TransientError,
            wait_s=7.0,
            kind="error",
        ),
        Fault(
            status=429,
            body=anthropic_error("rate_limit_error", "Your daily token limit is reached"),
            expected=TransientError,
            wait_s=3600.0,
            kind="parked",
        ),
        Fault(
            status=429,
            body=anthropic_error("rate_limit_error", "You have reached your specified API spend limit."),
            expected=ProviderStopError,
        ),
        Fault(status=500, body=anthropic_error("api_error", "Internal server error"), expected=TransientError),
        Fault(status=504, body=anthropic_error("timeout_error", "Timed out"), expected=TransientError, kind="unknown"),
        Fault(
            status=529, body=anthropic_error("overloaded_error", "Overloaded"), expected=TransientError, kind="error"
        ),
        Fault(status=200, body=anthropic_error("overloaded_error", "Overloaded"), expected=TransientError),
    ),
    url="https://api.anthropic.com/v1/messages",
    priced_model="claude-haiku-4-5",
)

GEMINI_ANSWER: dict[str, Any] = {
    "candidates": [
        {
            "content": {"role": "model", "parts": [{"text": "6 x 7", "thought": True}, {"text": ANSWER}]},
            "finishReason": "STOP",
            "index": 0,
        }
    ],
    "usageMetadata": {
        "promptTokenCount": 19,
        "candidatesTokenCount": 6,
        "thoughtsTokenCount": 4,
        "cachedContentTokenCount": 8,
        "totalTokenCount": 29,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 19}],
    },
    "modelVersion": "small-1-2026",
    "responseId": "r1",
}
GOOGLE = "type.googleapis.com/google.rpc."


def google_error(status: int, word: str, message: str, *details: Mapping[str, Any]) -> dict[str, Any]:
    typed = [
        {"@type": GOOGLE + str(detail["kind"])} | {k: v for k, v in detail.items() if k != "kind"} for detail in details
    ]
    return {"error": {"code": status, "message": message, "status": word, "details": typed}}


def google_quota(quota: str, *details: Mapping[str, Any]) -> dict[str, Any]:
    violation = {"quotaMetric": "generativelanguage.googleapis.com/requests", "quotaId": quota, "quotaValue": "50"}
    message = "You exceeded your current quota, please check your plan and billing details."
    failure = {"kind": "QuotaFailure", "violations": [violation]}
    return google_error(429, "RESOURCE_EXHAUSTED", message, failure, *details)


GEMINI_WAIT = {"kind": "RetryInfo", "retryDelay": "45.837906927s"}
GEMINI = Vendor(
    name="gemini",
    provider="gemini",
    endpoint="",
    target="/v1beta/models/small-1:generateContent",
    auth={"type": "api_key"},
    key_header="x-goog-api-key",
    sent={
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": QUESTION}]}],
        "generationConfig": {"temperature": 0.2, "maxOutputTokens": 64, "thinkingConfig": {"thinkingBudget": 512}},
    },
    parameters={"thinking_budget": 512},
    answer=GEMINI_ANSWER,
    usage=OPENAI_USAGE,
    refused={"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 19}},
    truncated=GEMINI_ANSWER | {"candidates": [GEMINI_ANSWER["candidates"][0] | {"finishReason": "MAX_TOKENS"}]},
    stream=(
        {"candidates": [{"content": {"role": "model", "parts": [{"text": ANSWER[:5]}]}, "index": 0}]},
        GEMINI_ANSWER
        | {"candidates": [{"content": {"role": "model", "parts": [{"text": ANSWER[5:]}]}, "finishReason": "STOP"}]},
    ),
    streamed_target="/v1beta/models/small-1:streamGenerateContent?alt=sse",
    faults=(
        Fault(
            status=400,
            body=google_error(
                400,
                "INVALID_ARGUMENT",
                "Request contains an invalid argument.",
                {
                    "kind": "BadRequest",
                    "fieldViolations": [
                        {"field": "generation_config.thinking_config.thinking_budget", "description": "512"}
                    ],
                },
            ),
            expected=InfeasibleError,
        ),
        Fault(
            status=400,
            body=google_error(
                400, "INVALID_ARGUMENT", "Unable to submit request because maxOutputTokens must be at most 32."
            ),
            expected=InfeasibleError,
        ),
        Fault(
            status=400,
            body=google_error(400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens."),
            expected=PermanentError,
        ),
        Fault(
            status=400,
            body=google_error(
                400,
                "INVALID_ARGUMENT",
                "API key not valid. Please pass a valid API key.",
                {"kind": "ErrorInfo", "reason": "API_KEY_INVALID"},
            ),
            expected=ProviderStopError,
        ),
        Fault(
            status=400,
            body=google_error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
            expected=ProviderStopError,
        ),
        Fault(status=403, body=google_error(403, "PERMISSION_DENIED", "Denied"), expected=ProviderStopError),
        Fault(
            status=404,
            body=google_error(404, "NOT_FOUND", "models/small-1 is not found for API version v1beta"),
            expected=InfeasibleError,
        ),
        Fault(
            status=429,
            body=google_quota("GenerateRequestsPerMinutePerProjectPerModel", GEMINI_WAIT),
            expected=TransientError,
            wait_s=45.837906927,
            kind="error",
        ),
        Fault(
            status=429,
            body=google_quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", GEMINI_WAIT),
            expected=TransientError,
            wait_s=3600.0,
            kind="parked",
        ),
        Fault(
            status=429,
            body=[google_quota("GenerateRequestsPerMinutePerProjectPerModel", GEMINI_WAIT)],
            expected=TransientError,
            wait_s=45.837906927,
            kind="error",
        ),
        Fault(
            status=429,
            body=google_error(429, "RESOURCE_EXHAUSTED", "Your project has exceeded its monthly spending limit."),
            expected=ProviderStopError,
        ),
        Fault(status=500, body=google_error(500, "INTERNAL", "Internal"), expected=TransientError),
        Fault(status=503, body=google_error(503, "UNAVAILABLE", "Overloaded"), expected=TransientError, kind="error"),
        Fault(status=504, body=google_error(504, "DEADLINE_EXCEEDED", "Late"), expected=TransientError, kind="unknown"),
        Fault(status=200, body={"usageMetadata": {"promptTokenCount": 3}}, expected=TransientError, kind="unknown"),
    ),
    url="https://generativelanguage.googleapis.com/v1beta",
    priced_model="gemini-2.5-flash",
)

AZURE_FILTERED = {
    "error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}},
    }
}
AZURE_FAULTS = (
    Fault(
        status=401,
        body={"error": {"code": "401", "message": "Access denied due to invalid subscription key."}},
        expected=ProviderStopError,
    ),
    Fault(
        status=404,
        body={
            "error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}
        },
        expected=InfeasibleError,
    ),
    Fault(
        status=429,
        body={
            "error": {
                "code": "429",
                "message": "Requests have exceeded token rate limit. Please retry after 6 seconds.",
            }
        },
        headers={"retry-after-ms": "5600", "retry-after": "6", "x-ratelimit-limit-tokens": "-1"},
        expected=TransientError,
        wait_s=5.6,
        kind="error",
    ),
    Fault(
        status=429,
        body={"error": {"code": "429", "message": "Rate limited."}},
        headers={
            "x-ratelimit-limit-tokens": "-1",
            "x-ratelimit-remaining-tokens": "-1",
            "x-ratelimit-reset-tokens": "0",
        },
        expected=TransientError,
        kind="error",
    ),
    *OPENAI_FAULTS,
)
AZURE_CLASSIC = Vendor(
    name="azure-classic",
    provider="azure",
    endpoint="/openai/deployments/{{ params.model }}/chat/completions?api-version=2024-10-21",
    target="/openai/deployments/small-1/chat/completions?api-version=2024-10-21",
    auth={"type": "api_key"},
    key_header="api-key",
    sent={**CHAT_SENT, "max_tokens": 64},
    answer=chat_answer(**OPENAI_DETAILS) | {"prompt_filter_results": [{"prompt_index": 0}]},
    usage=OPENAI_USAGE,
    refused=chat_answer({"content": None}, finish="content_filter"),
    truncated=chat_answer(finish="length"),
    stream=({"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}, *chat_stream(**OPENAI_DETAILS)),
    faults=AZURE_FAULTS,
)
AZURE = Vendor(
    name="azure-v1",
    provider="azure",
    endpoint="/openai/v1",
    target="/openai/v1/chat/completions",
    key_header="authorization",
    sent={**CHAT_SENT, "max_tokens": 64},
    answer=chat_answer(**OPENAI_DETAILS),
    usage=OPENAI_USAGE,
    refused=chat_answer({"content": None}, finish="content_filter"),
    truncated=chat_answer(finish="length"),
    stream=chat_stream(**OPENAI_DETAILS),
    faults=AZURE_FAULTS,
)

RESPONSES_ANSWER: dict[str, Any] = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "error": None,
    "incomplete_details": None,
    "model": "small-1-2026",
    "output": [
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": ANSWER, "annotations": []}],
        },
    ],
    "usage": {
        "input_tokens": 19,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
        "output_tokens": 10,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 29,
    },
}
RESPONSES_REFUSED = [{"type": "message", "content": [{"type": "refusal", "refusal": REFUSAL}]}]
RESPONSES_FAILED = {"status": "failed", "output": [], "error": {"code": "server_error", "message": "Failed"}}
RESPONSES = Vendor(
    name="openai-responses",
    provider="openai-responses",
    endpoint="/v1",
    target="/v1/responses",
    sent={
        "model": "small-1",
        "temperature": 0.2,
        "max_output_tokens": 64,
        "reasoning": {"effort": "low"},
        "text": {"verbosity": "low"},
        "instructions": "Be brief.",
        "input": [USER],
    },
    parameters={"reasoning_effort": "low", "verbosity": "low"},
    answer=RESPONSES_ANSWER,
    usage=OPENAI_USAGE,
    refused=RESPONSES_ANSWER | {"output": RESPONSES_REFUSED},
    truncated=RESPONSES_ANSWER | {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
    stream=(
        {"type": "response.created", "response": RESPONSES_ANSWER | {"status": "in_progress", "output": []}},
        {"type": "response.output_text.delta", "delta": ANSWER},
        {"type": "response.completed", "response": RESPONSES_ANSWER},
    ),
    faults=(
        *OPENAI_FAULTS,
        Fault(status=200, body=RESPONSES_ANSWER | RESPONSES_FAILED, expected=TransientError, kind="error"),
        Fault(
            status=200,
            body=RESPONSES_ANSWER
            | {"status": "failed", "error": {"code": "rate_limit_exceeded", "message": "try again in 1.5s"}},
            expected=TransientError,
            wait_s=1.5,
            kind="error",
        ),
        Fault(status=200, body=RESPONSES_ANSWER | {"status": "queued"}, expected=TransientError, kind="unknown"),
        Fault(
            status=400,
            body=openai_error("Unsupported parameter", param="reasoning.effort", code="unsupported_parameter"),
            expected=InfeasibleError,
        ),
    ),
    url="https://api.openai.com/v1/responses",
    priced_model="gpt-5-mini",
)

COMPLETION_SENT = {**CHAT_SENT, "max_completion_tokens": 64}
PLAIN_SENT = {**CHAT_SENT, "max_tokens": 64}
OUT_OF_MONEY = Fault(status=402, body=openai_error("Insufficient credits"), expected=ProviderStopError)
DAY_SPENT = Fault(
    status=429,
    body=openai_error("Rate limit reached on tokens per day (TPD)", type="tokens", code="rate_limit_exceeded"),
    expected=TransientError,
    wait_s=3600.0,
    kind="parked",
)
GROQ = Vendor(
    name="groq",
    provider="groq",
    endpoint="",
    target="/openai/v1/chat/completions",
    sent=COMPLETION_SENT,
    answer=chat_answer(queue_time=0.02, prompt_time=0.01, completion_time=0.1, total_time=0.11, **OPENAI_DETAILS)
    | {"x_groq": {"id": "req_1"}},
    usage=OPENAI_USAGE,
    refused=chat_answer({"refusal": REFUSAL}),
    truncated=chat_answer(finish="length"),
    stream=chat_stream(**OPENAI_DETAILS),
    faults=(
        Fault(
            status=429,
            body=openai_error(
                "Rate limit reached for model `small-1` on tokens per minute (TPM): Limit 6000. Please try again in "
                "5.289s. Need more tokens?",
                type="tokens",
                code="rate_limit_exceeded",
            ),
            expected=TransientError,
            wait_s=5.289,
            kind="error",
        ),
        Fault(
            status=429,
            body=openai_error("Rate limit reached on requests per day (RPD): Limit 1000. Please try again in 1m26.4s."),
            expected=TransientError,
            wait_s=86.4,
            kind="error",
        ),
        DAY_SPENT,
        Fault(
            status=400,
            body=openai_error(
                "`max_completion_tokens` must be less than or equal to `32`", param="max_completion_tokens"
            ),
            expected=InfeasibleError,
        ),
        Fault(
            status=400,
            body=openai_error("`reasoning_effort` must be one of `none` or `default`", param="reasoning_effort"),
            expected=InfeasibleError,
        ),
        Fault(status=401, body=openai_error("Invalid API Key", code="invalid_api_key"), expected=ProviderStopError),
        Fault(status=498, body=openai_error("Flex capacity exceeded"), expected=PermanentError),
        Fault(status=503, body=openai_error("Unavailable"), expected=TransientError, kind="error"),
    ),
    url="https://api.groq.com/openai/v1/chat/completions",
    priced_model="llama-3.3-70b-versatile",
)
TOGETHER = Vendor(
    name="together",
    provider="together",
    endpoint="/v1",
    target="/v1/chat/completions",
    sent=PLAIN_SENT,
    answer=chat_answer({"reasoning": "6 x 7", "tool_calls": []}, finish="eos") | {"prompt": [], "warnings": []},
    usage=PLAIN_USAGE,
    refused=chat_answer({"refusal": REFUSAL}),
    truncated=chat_answer(finish="length"),
    stream=chat_stream(),
    faults=(
        Fault(
            status=429,
            body=openai_error("You have reached the rate limit", type="rate_limit", code="rate_limit"),
            headers={"x-tokenlimit-remaining": "0", "x-tokenlimit-reset": "9", "x-ratelimit-reset": "3"},
            expected=TransientError,
            wait_s=9.0,
            kind="error",
        ),
        DAY_SPENT,
        OUT_OF_MONEY,
        Fault(
            status=422,
            body=openai_error("temperature must be below 0.1", param="temperature"),
            expected=InfeasibleError,
        ),
        Fault(status=401, body=openai_error("Invalid API key provided"), expected=ProviderStopError),
        Fault(status=504, body=openai_error("Timeout"), expected=TransientError, kind="unknown"),
    ),
    url="https://api.together.xyz/v1/chat/completions",
    priced_model="Qwen/Qwen3.5-9B",
)


def mistral_error(message: str, code: str) -> dict[str, Any]:
    return {"object": "error", "message": message, "type": "invalid_request_error", "param": None, "code": code}


MISTRAL_CHUNKS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "6 x 7"}]},
    {"type": "text", "text": ANSWER},
]
MISTRAL = Vendor(
    name="mistral",
    provider="mistral",
    endpoint="/v1",
    target="/v1/chat/completions",
    sent={"model": "small-1", "temperature": 0.2, "random_seed": 7, "max_tokens": 64, "messages": [SYSTEM, USER]},
    parameters={"seed": 7},
    answer=chat_answer({"content": MISTRAL_CHUNKS}, num_cached_tokens=8),
    usage=Usage(input_tokens=19, output_tokens=10, cached_tokens=8),
    refused=chat_answer(finish="content_filter"),
    truncated=chat_answer(finish="model_length"),
    stream=chat_stream(num_cached_tokens=8),
    faults=(
        Fault(
            status=422,
            body={"detail": [{"type": "less_than", "loc": ["body", "temperature"], "msg": "should be at most 0.1"}]},
            expected=InfeasibleError,
        ),
        Fault(
            status=422,
            body={"object": "error", "message": {"detail": [{"loc": ["body", "random_seed"], "msg": "should be 0"}]}},
            expected=InfeasibleError,
        ),
        Fault(status=400, body=mistral_error("Invalid model: small-1", "1500"), expected=InfeasibleError),
        Fault(status=401, body={"detail": "Unauthorized"}, expected=ProviderStopError),
        Fault(
            status=429,
            body=mistral_error("Requests rate limit exceeded", "1300"),
            headers={"retry-after": "1.5"},
            expected=TransientError,
            wait_s=1.5,
            kind="error",
        ),
        DAY_SPENT,
        OUT_OF_MONEY,
        Fault(status=200, body=chat_answer(finish="error"), expected=TransientError, kind="unknown"),
        Fault(status=503, body=mistral_error("Service unavailable", "3000"), expected=TransientError, kind="error"),
    ),
    url="https://api.mistral.ai/v1/chat/completions",
    priced_model="mistral-small-latest",
)


def openrouter_error(code: int, message: str, **metadata: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "metadata": metadata}, "user_id": "u1"}


OPENROUTER_COST: dict[str, Any] = {"cost": 0.00025, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}
OPENROUTER = Vendor(
    name="openrouter",
    provider="openrouter",
    endpoint="/api/v1",
    target="/api/v1/chat/completions",
    sent=PLAIN_SENT,
    answer=chat_answer(**OPENAI_DETAILS, **OPENROUTER_COST) | {"provider": "Upstream"},
    usage=OPENAI_USAGE,
    cost_usd=0.00025,
    refused=chat_answer(finish="content_filter"),
    truncated=chat_answer(finish="length"),
    stream=chat_stream(**OPENAI_DETAILS, **OPENROUTER_COST),
    faults=(
        Fault(
            status=200,
            body=openrouter_error(502, "Provider returned error", provider_name="Upstream", raw="bad gateway"),
            expected=TransientError,
            kind="error",
        ),
        Fault(status=400, body=openrouter_error(400, "small-1 is not a valid model ID"), expected=InfeasibleError),
        Fault(status=200, body=openrouter_error(402, "Insufficient credits"), expected=ProviderStopError),
        Fault(status=200, body=openrouter_error(400, "temperature must be at most 0.1"), expected=InfeasibleError),
        Fault(status=402, body=openrouter_error(402, "This request requires more credits"), expected=ProviderStopError),
        Fault(
            status=429,
            body=openrouter_error(429, "Rate limit exceeded: limit_rpm"),
            headers={"retry-after": "3", "x-ratelimit-reset": "4102444800000"},
            expected=TransientError,
            wait_s=3.0,
            kind="error",
        ),
        Fault(
            status=429,
            body=openrouter_error(429, "Rate limit exceeded: free-models-per-day"),
            expected=TransientError,
            wait_s=3600.0,
            kind="parked",
        ),
        Fault(status=401, body=openrouter_error(401, "No auth credentials found"), expected=ProviderStopError),
        Fault(status=503, body=openrouter_error(503, "No provider meets it"), expected=TransientError, kind="error"),
    ),
)
OLLAMA = Vendor(
    name="ollama",
    provider="ollama",
    endpoint="",
    target="/v1/chat/completions",
    sent=PLAIN_SENT,
    answer=chat_answer({"reasoning": "6 x 7"}),
    usage=PLAIN_USAGE,
    refused=chat_answer({"refusal": REFUSAL}),
    truncated=chat_answer(finish="length"),
    stream=chat_stream(),
    faults=(
        Fault(status=404, body={"error": "model 'small-1' not found"}, expected=InfeasibleError),
        Fault(
            status=400, body=openai_error('think value "low" is not supported for this model'), expected=InfeasibleError
        ),
        Fault(status=500, body={"error": "llama runner process has terminated"}, expected=TransientError),
        Fault(status=503, body={"error": "server busy"}, expected=TransientError, kind="error"),
    ),
    has_quotas=False,
)
VLLM = Vendor(
    name="vllm",
    provider="vllm",
    endpoint="",
    target="/v1/chat/completions",
    sent={**PLAIN_SENT, "min_p": 0.1, "repetition_penalty": 1.1},
    parameters={"reasoning_effort": "low", "min_p": 0.1, "repetition_penalty": 1.1},
    answer=chat_answer({"reasoning_content": None}, prompt_tokens_details=None),
    usage=PLAIN_USAGE,
    refused=chat_answer({"refusal": REFUSAL}),
    truncated=chat_answer(finish="length"),
    stream=chat_stream(prompt_tokens_details=None),
    faults=(
        Fault(
            status=400,
            body={
                "object": "error",
                "message": "temperature must be non-negative, got -1.",
                "param": None,
                "code": 400,
            },
            expected=InfeasibleError,
        ),
        Fault(
            status=404,
            body={"error": {"message": "The model `small-1` does not exist.", "type": "NotFoundError", "code": 404}},
            expected=InfeasibleError,
        ),
        Fault(status=401, body={"error": "Unauthorized"}, expected=ProviderStopError),
        Fault(status=503, body={}, expected=TransientError, kind="error"),
    ),
    has_quotas=False,
)

VENDORS = (
    OPENAI,
    RESPONSES,
    AZURE,
    AZURE_CLASSIC,
    ANTHROPIC,
    GEMINI,
    GROQ,
    TOGETHER,
    MISTRAL,
    OPENROUTER,
    OLLAMA,
    VLLM,
)
