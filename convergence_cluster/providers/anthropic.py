"""Messages as Anthropic speaks them.

Source: Anthropic's Messages reference and anthropic-sdk-python (2026).
"""

from collections.abc import Mapping, Sequence

from convergence_cluster.domain.errors import TransientError
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.chat import ChatFormat, Written, split_system, text_of_content
from convergence_cluster.providers.replies import Reply
from convergence_cluster.providers.request_rule import to_bytes
from convergence_cluster.providers.streams import ended_early, events
from convergence_cluster.providers.usage import anthropic_usage, read_finish

DEFAULT_MAX_TOKENS = 4096
"""The API requires `max_tokens`; every model that is still served allows this many."""
_TOKENS_OF_DELTA = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


def _write(body: dict[str, Json], messages: Sequence[Json]) -> Mapping[str, Json]:
    system, dialogue = split_system(messages)
    if system is not None:
        body["system"] = system
    stops = body.get("stop_sequences")
    if isinstance(stops, str):
        body["stop_sequences"] = [stops]
    thinking = body.get("thinking")
    if isinstance(thinking, Mapping) and "type" not in thinking:
        is_on = bool(thinking.get("budget_tokens"))
        body["thinking"] = {"type": "enabled", **thinking} if is_on else {"type": "disabled"}
    return {**body, "messages": dialogue}


def _read(body: Mapping[str, Json], reply: Reply) -> Written:
    content = body.get("content")
    if not isinstance(content, list):
        raise TransientError(f"{reply.where}: HTTP {reply.status}, but the answer has no content", kind="unknown")
    blocks = [block for block in content if isinstance(block, Mapping)]
    text = text_of_content([block for block in blocks if block.get("type") == "text"])
    tools = [block for block in blocks if block.get("type") == "tool_use"]
    usage, model = body.get("usage"), body.get("model")
    return Written(
        text=text or (to_bytes(tools).decode() if tools else ""),
        finish=read_finish(body.get("stop_reason")),
        usage=anthropic_usage(usage) if isinstance(usage, Mapping) and "input_tokens" in usage else None,
        model=model if isinstance(model, str) else None,
    )


def _assemble(reply: Reply) -> Json:
    """Return a streamed message as one body, or the body of the error that ended it.

    Raises:
        TransientError: the stream ended before `message_stop`.
    """
    body: dict[str, Json] = {}
    blocks: list[dict[str, Json]] = []
    for event in events(reply):
        kind, delta = event.get("type"), event.get("delta")
        if kind == "error" or event.get("error"):
            return event
        if kind == "message_start" and isinstance(message := event.get("message"), Mapping):
            body |= message
        elif kind == "content_block_start" and isinstance(block := event.get("content_block"), Mapping):
            blocks.append(dict(block))
        elif kind == "content_block_delta" and isinstance(delta, Mapping) and blocks:
            _append(blocks[-1], delta)
        elif kind == "message_delta" and isinstance(delta, Mapping):
            body |= {**delta, "usage": _merged(body.get("usage"), event.get("usage"))}
        elif kind == "message_stop":
            return {**body, "content": blocks}
    raise ended_early(reply)


def _speaks(event: Mapping[str, Json]) -> bool:
    delta = event.get("delta")
    return isinstance(delta, Mapping) and any(delta.get(name) for name in ("text", "partial_json"))


def _append(block: dict[str, Json], delta: Mapping[str, Json]) -> None:
    name = _TOKENS_OF_DELTA.get(str(delta.get("type")))
    if name is not None and isinstance(piece := delta.get(name), str):
        known = block.get(name)
        block[name] = (known if isinstance(known, str) else "") + piece


def _merged(first: Json, last: Json) -> Json:
    known = dict(first) if isinstance(first, Mapping) else {}
    return known | {k: v for k, v in last.items() if v is not None} if isinstance(last, Mapping) else known


ANTHROPIC = ChatFormat(
    path="/v1/messages",
    write=_write,
    read=_read,
    assemble=_assemble,
    speaks=_speaks,
    places={
        "max_completion_tokens": ("max_tokens",),
        "max_output_tokens": ("max_tokens",),
        "stop": ("stop_sequences",),
        "thinking_budget": ("thinking", "budget_tokens"),
        "effort": ("output_config", "effort"),
        "reasoning_effort": ("output_config", "effort"),
    },
    defaults={"max_tokens": DEFAULT_MAX_TOKENS},
    headers={"anthropic-version": "2023-06-01"},
)
