"""The chat wire format: bodies of requests read, bodies of answers and errors written.

Source: OpenAI API specification 2.3.0, chat completions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convergence_cluster.sandbox.reply import Reply
from convergence_cluster.sandbox.setting import EFFORTS, Setting, style_of

_FIELDS = """
model messages max_completion_tokens max_tokens temperature top_p frequency_penalty presence_penalty n stop seed
reasoning_effort verbosity response_format service_tier prompt_cache_key tools tool_choice stream stream_options
logprobs top_logprobs store metadata user logit_bias modalities parallel_tool_calls prediction safety_identifier
"""
KNOWN_FIELDS = frozenset(_FIELDS.split())
"""Fields that the API accepts; most of them change nothing in the simulation."""

_SYSTEM_ROLES = ("system", "developer")
_CHARACTERS_PER_TOKEN = 4


class ChatError(Exception):
    """An answer of the API that is not a completion."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request as the simulation understands it."""

    setting: Setting
    question: str
    """The last message of the user."""
    input_tokens: int
    given: Mapping[str, Any]
    """The whole body."""


def read_chat(body: bytes) -> ChatRequest:
    """Return the request in a body.

    Raises:
        ChatError: 400, naming the field in `param` where one is at fault.
    """
    try:
        given = json.loads(body)
    except ValueError as error:
        raise ChatError(400, "We could not parse the JSON body of your request.") from error
    if not isinstance(given, dict) or not isinstance(given.get("model"), str):
        raise ChatError(400, "you must provide a model parameter", param="model")
    unknown = given.keys() - KNOWN_FIELDS
    if unknown:
        name = min(unknown)
        raise ChatError(400, f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    if given.get("stream"):
        raise ChatError(400, "The simulation does not stream.", param="stream", code="unsupported_value")
    system, question, n_characters = _messages(given.get("messages"))
    setting = Setting(
        given["model"],
        _number(given, "temperature", 0.0, 2.0),
        _limit(given),
        style_of(system),
        _effort(given.get("reasoning_effort")),
    )
    return ChatRequest(setting, question, 8 + n_characters // _CHARACTERS_PER_TOKEN, given)


def completion(chat: ChatRequest, reply: Reply) -> bytes:
    """Return the body of an answer. A graded one carries its grade as `x_quality`."""
    graded = "" if reply.quality is None else f',"x_quality":{reply.quality:.6f}'
    message = f'{{"role":"assistant","content":{json.dumps(reply.text)},"refusal":null}}'
    return _body(chat, reply, message, "length" if reply.is_cut else "stop", graded)


def refusal(chat: ChatRequest, reply: Reply) -> bytes:
    """Return the body of an answer that declines to answer."""
    message = '{"role":"assistant","content":null,"refusal":"I cannot help with that in this simulation."}'
    return _body(chat, reply, message, "stop", "")


def error_body(error: ChatError) -> bytes:
    """Return the body of an error."""
    content = {"message": error.message, "type": error.kind, "param": error.param, "code": error.code}
    return json.dumps({"error": content}).encode()


def _body(chat: ChatRequest, reply: Reply, message: str, finish: str, more: str) -> bytes:
    n_input, n_output = chat.input_tokens, reply.output_tokens
    return (
        f'{{"id":"chatcmpl-sim","object":"chat.completion","created":0,"model":{json.dumps(chat.setting.model)},'
        f'"choices":[{{"index":0,"message":{message},"finish_reason":"{finish}"}}],'
        f'"usage":{{"prompt_tokens":{n_input},"completion_tokens":{n_output},"total_tokens":{n_input + n_output},'
        f'"completion_tokens_details":{{"reasoning_tokens":{reply.reasoning_tokens}}}}}{more}}}'
    ).encode()


def _messages(messages: Any) -> tuple[str, str, int]:
    """Return the system text, the user's last message and the number of characters of all."""
    if not isinstance(messages, list) or not messages:
        raise ChatError(400, "Missing required parameter: 'messages'.", param="messages")
    system, question, n_characters = "", "", 0
    for message in messages:
        if not isinstance(message, dict) or "role" not in message:
            raise ChatError(400, "Invalid type for 'messages': expected objects with a role.", param="messages")
        text = _text(message.get("content"))
        n_characters += len(text)
        if message["role"] in _SYSTEM_ROLES:
            system += text
        elif message["role"] == "user":
            question = text
    return system, question, n_characters


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _number(given: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ChatError(400, f"Invalid '{name}': expected a number from {low:g} to {high:g}.", param=name)
    return round(float(value), 6)


def _limit(given: Mapping[str, Any]) -> int | None:
    name = "max_completion_tokens" if "max_completion_tokens" in given else "max_tokens"
    value = given.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ChatError(400, f"Invalid '{name}': expected a whole number of at least 1.", param=name)
    return value


def _effort(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and value in EFFORTS:
        return value
    raise ChatError(400, f"Invalid 'reasoning_effort': expected one of {', '.join(EFFORTS)}.", param="reasoning_effort")
