"""generateContent as Google's Gemini API speaks it. The endpoint's path says the API's version.

Source: Google's Gemini API reference and python-genai (2026).
"""

from collections.abc import Mapping, Sequence

from convergence_cluster.domain.calls import Finish, Usage
from convergence_cluster.domain.errors import TransientError
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.chat import ChatFormat, Written, split_system
from convergence_cluster.providers.replies import Reply
from convergence_cluster.providers.request_rule import to_bytes
from convergence_cluster.providers.streams import ended_early, events
from convergence_cluster.providers.usage import count, read_finish

_ROLES = {"assistant": "model"}
_CONFIG = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens",
    "max_output_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "stop_sequences": "stopSequences",
    "n": "candidateCount",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
    "response_mime_type": "responseMimeType",
    "response_schema": "responseSchema",
    "response_json_schema": "responseJsonSchema",
}
_THINKING = {
    "thinking_budget": "thinkingBudget",
    "thinking_level": "thinkingLevel",
    "effort": "thinkingLevel",
    "reasoning_effort": "thinkingLevel",
}


def _write(body: dict[str, Json], messages: Sequence[Json]) -> Mapping[str, Json]:
    system, dialogue = split_system(messages)
    if system is not None:
        body["systemInstruction"] = {"parts": [{"text": system}]}
    config = body.get("generationConfig")
    if isinstance(config, Mapping) and isinstance(stop := config.get("stopSequences"), str):
        body["generationConfig"] = {**config, "stopSequences": [stop]}
    if "contents" not in body or dialogue:
        body["contents"] = [_content(message) for message in dialogue]
    return body


def _content(message: Mapping[str, Json]) -> Json:
    role, content = str(message.get("role")), message.get("content")
    parts = [_part(part) for part in content] if isinstance(content, list) else [{"text": content}]
    return {"role": _ROLES.get(role, role), "parts": parts}


def _part(part: Json) -> Json:
    """Return a text of another vendor's form in Gemini's; what is Gemini's own already goes as it is."""
    is_foreign = isinstance(part, Mapping) and part.get("type") == "text"
    return {"text": part.get("text")} if is_foreign else part


def _read(body: Mapping[str, Json], reply: Reply) -> Written:
    candidates, feedback = body.get("candidates"), body.get("promptFeedback")
    candidate = candidates[0] if isinstance(candidates, list) and candidates else None
    usage, model = _usage(body.get("usageMetadata")), body.get("modelVersion")
    model = model if isinstance(model, str) else None
    if isinstance(candidate, Mapping):
        return Written(
            text=_text(candidate), finish=read_finish(candidate.get("finishReason")), usage=usage, model=model
        )
    if isinstance(feedback, Mapping) and feedback.get("blockReason"):
        text = f"The prompt was blocked: {feedback['blockReason']}"
        return Written(text=text, finish=Finish.REFUSAL, usage=usage, model=model)
    raise TransientError(f"{reply.where}: HTTP {reply.status}, but the answer has no candidate", kind="unknown")


def _text(candidate: Mapping[str, Json]) -> str:
    parts = _parts(candidate)
    text = "".join(str(part["text"]) for part in parts if isinstance(part.get("text"), str) and not part.get("thought"))
    calls = [part for part in parts if "functionCall" in part]
    return text or (to_bytes(calls).decode() if calls else "")


def _parts(candidate: Mapping[str, Json]) -> list[Mapping[str, Json]]:
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, Mapping) else None
    return [part for part in parts if isinstance(part, Mapping)] if isinstance(parts, list) else []


def _usage(usage: Json) -> Usage | None:
    """Return the counts; what the model thought is billed as output, what tools read as input."""
    if not isinstance(usage, Mapping) or "promptTokenCount" not in usage:
        return None
    thoughts = count(usage.get("thoughtsTokenCount"))
    return Usage(
        input_tokens=count(usage["promptTokenCount"]) + count(usage.get("toolUsePromptTokenCount")),
        output_tokens=count(usage.get("candidatesTokenCount")) + thoughts,
        cached_tokens=count(usage.get("cachedContentTokenCount")),
        reasoning_tokens=thoughts,
    )


def _assemble(reply: Reply) -> Json:
    """Return a streamed answer as one body, or the body of the error that ended it.

    Raises:
        TransientError: the stream ended without a finish reason.
    """
    body: dict[str, Json] = {}
    parts: list[Mapping[str, Json]] = []
    reason: Json = None
    for chunk in events(reply):
        if chunk.get("error"):
            return chunk
        body |= {key: value for key, value in chunk.items() if key != "candidates" and value is not None}
        candidates = chunk.get("candidates")
        candidate = candidates[0] if isinstance(candidates, list) and candidates else None
        if isinstance(candidate, Mapping):
            parts += _parts(candidate)
            reason = candidate.get("finishReason") or reason
    if reason is None:
        if body.get("promptFeedback"):
            return body
        raise ended_early(reply)
    return {**body, "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason}]}


def _speaks(event: Mapping[str, Json]) -> bool:
    candidates = event.get("candidates")
    candidate = candidates[0] if isinstance(candidates, list) and candidates else None
    return isinstance(candidate, Mapping) and bool(_text(candidate))


def _stream_url(url: str) -> str:
    url = url.replace(":generateContent", ":streamGenerateContent")
    return f"{url}{'&' if '?' in url else '?'}alt=sse"


GEMINI = ChatFormat(
    path="/v1beta/models/{model}:generateContent",
    write=_write,
    read=_read,
    assemble=_assemble,
    speaks=_speaks,
    places={
        **{name: ("generationConfig", leaf) for name, leaf in _CONFIG.items()},
        **{leaf: ("generationConfig", leaf) for leaf in _CONFIG.values()},
        **{name: ("generationConfig", "thinkingConfig", leaf) for name, leaf in _THINKING.items()},
    },
    key_header="x-goog-api-key",
    dialogue="contents",
    is_model_in_url=True,
    stream_url=_stream_url,
)
