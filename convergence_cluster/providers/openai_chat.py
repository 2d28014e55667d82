"""Chat completions as OpenAI and the servers compatible with it speak them.

Source: OpenAI's OpenAPI document 2.3.0 (2026-08), and the references of Azure, Groq, Together, Mistral, OpenRouter,
Ollama and vLLM (2026).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from convergence_cluster.domain.calls import Finish
from convergence_cluster.domain.errors import TransientError
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.chat import ChatFormat, Written, text_of_content
from convergence_cluster.providers.replies import Reply
from convergence_cluster.providers.request_rule import to_bytes
from convergence_cluster.providers.streams import assemble_chat, speaks_chat
from convergence_cluster.providers.usage import read_finish, read_usage, sensible_cost, units


def _write(body: dict[str, Json], messages: Sequence[Json]) -> Mapping[str, Json]:
    return {**body, "messages": messages}


def _write_with_usage(body: dict[str, Json], messages: Sequence[Json]) -> Mapping[str, Json]:
    """A `stream` asks for its usage, unless the study says otherwise."""
    if body.get("stream") is True:
        body.setdefault("stream_options", {"include_usage": True})
    return _write(body, messages)


def _read(body: Mapping[str, Json], reply: Reply) -> Written:
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping) or not isinstance(choice.get("message"), Mapping):
        raise TransientError(f"{reply.where}: HTTP {reply.status}, but the answer has no message", kind="unknown")
    text, finish = _read_choice(choice, reply)
    usage, model = body.get("usage"), body.get("model")
    return Written(
        text=text,
        finish=finish,
        usage=read_usage(usage),
        model=model if isinstance(model, str) else None,
        cost_usd=_reported_cost(usage),
    )


def _read_choice(choice: Mapping[str, Json], reply: Reply) -> tuple[str, Finish]:
    message, reason = choice["message"], choice.get("finish_reason")
    if reason == "error":
        raise TransientError(f"{reply.where}: the model stopped with an error", kind="unknown")
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        return refusal, Finish.REFUSAL
    text = text_of_content(message.get("content"))
    if not text and message.get("tool_calls"):
        text = to_bytes(message["tool_calls"]).decode()
    return text, read_finish(reason)


def _reported_cost(usage: Json) -> float | None:
    """Return OpenRouter's `usage.cost` in USD; with the user's own upstream key, that key's cost comes on top."""
    if not isinstance(usage, Mapping) or (cost := units(usage.get("cost"))) is None:
        return None
    details = usage.get("cost_details")
    upstream = units(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None
    return sensible_cost(cost + (upstream or 0.0) if usage.get("is_byok") else cost)


_AS_MAX_TOKENS = {"max_completion_tokens": ("max_tokens",)}
_AS_MAX_COMPLETION_TOKENS = {"max_tokens": ("max_completion_tokens",)}

OPENAI_COMPATIBLE = ChatFormat(
    path="/v1/chat/completions",
    write=_write_with_usage,
    read=_read,
    assemble=assemble_chat,
    speaks=speaks_chat,
)
"""Any server: the limit on tokens goes under the name that the study uses."""
OPENAI = replace(OPENAI_COMPATIBLE, places=_AS_MAX_COMPLETION_TOKENS)
"""OpenAI's own: the reasoning models know no `max_tokens`."""
AZURE = replace(OPENAI_COMPATIBLE, path="/openai/v1/chat/completions", key_header="api-key")
AZURE_CLASSIC = replace(AZURE, path="/openai/deployments/{model}/chat/completions")
GROQ = replace(OPENAI, path="/openai/v1/chat/completions")
TOGETHER = replace(OPENAI_COMPATIBLE, places=_AS_MAX_TOKENS)
MISTRAL = replace(OPENAI_COMPATIBLE, write=_write, places={**_AS_MAX_TOKENS, "seed": ("random_seed",)})
"""Unknown fields are refused; a stream's last chunk has the usage without being asked for it."""
OPENROUTER = replace(OPENAI_COMPATIBLE, path="/api/v1/chat/completions")
OLLAMA = replace(OPENAI_COMPATIBLE, places=_AS_MAX_TOKENS)
VLLM = OPENAI_COMPATIBLE
