"""Responses as OpenAI and Azure speak them.

Source: OpenAI's OpenAPI document 2.3.0 (2026-08).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from convergence_cluster.domain.calls import Finish
from convergence_cluster.domain.errors import TransientError
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.chat import ChatFormat, Written, split_system
from convergence_cluster.providers.replies import Reply
from convergence_cluster.providers.request_rule import to_bytes
from convergence_cluster.providers.streams import ended_early, events
from convergence_cluster.providers.usage import read_finish, read_usage

_LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})

_PIECES = frozenset({"response.output_text.delta", "response.refusal.delta", "response.function_call_arguments.delta"})


def _write(body: dict[str, Json], messages: Sequence[Json]) -> Mapping[str, Json]:
    system, dialogue = split_system(messages)
    if system is not None:
        body["instructions"] = system
    if "input" not in body or dialogue:
        body["input"] = dialogue
    return body


def _read(body: Mapping[str, Json], reply: Reply) -> Written:
    status, output = body.get("status"), body.get("output")
    if status not in ("completed", "incomplete") or not isinstance(output, list):
        raise TransientError(f"{reply.where}: HTTP {reply.status}, but the answer is not complete", kind="unknown")
    items = [item for item in output if isinstance(item, Mapping)]
    texts, refusals = _contents(items, "output_text", "text"), _contents(items, "refusal", "refusal")
    calls = [item for item in items if item.get("type") == "function_call"]
    model = body.get("model")
    return Written(
        text="".join(refusals or texts) or (to_bytes(calls).decode() if calls else ""),
        finish=Finish.REFUSAL if refusals else _finish(body),
        usage=read_usage(body.get("usage")),
        model=model if isinstance(model, str) else None,
    )


def _finish(body: Mapping[str, Json]) -> Finish:
    if body.get("status") == "completed":
        return Finish.STOP
    details = body.get("incomplete_details")
    return read_finish(details.get("reason") if isinstance(details, Mapping) else None)


def _contents(items: Sequence[Mapping[str, Json]], kind: str, name: str) -> list[str]:
    """Return what the messages among the items say in content of one kind."""
    contents = [item.get("content") for item in items if item.get("type") == "message"]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return [str(part.get(name) or "") for part in parts if isinstance(part, Mapping) and part.get("type") == kind]


def _assemble(reply: Reply) -> Json:
    """Return the whole response that a stream's last event carries, or the body of the error that ended it.

    Raises:
        TransientError: the stream ended without its last event.
    """
    for event in events(reply):
        if str(event.get("type")) in _LAST_EVENTS:
            return event.get("response")
        if event.get("type") == "error":
            return event if event.get("error") else {"error": {**event, "type": None}}
    raise ended_early(reply)


OPENAI_RESPONSES = ChatFormat(
    path="/v1/responses",
    write=_write,
    read=_read,
    assemble=_assemble,
    speaks=lambda event: str(event.get("type")) in _PIECES and bool(event.get("delta")),
    places={
        "max_tokens": ("max_output_tokens",),
        "max_completion_tokens": ("max_output_tokens",),
        "reasoning_effort": ("reasoning", "effort"),
        "effort": ("reasoning", "effort"),
        "verbosity": ("text", "verbosity"),
    },
    dialogue="input",
)
AZURE_RESPONSES = replace(OPENAI_RESPONSES, path="/openai/v1/responses", key_header="api-key")
