"""Chat completions as OpenAI and the servers compatible with it speak them.

Source: OpenAI's OpenAPI document 2.3.0 (2026-08), and the differences of Groq, Together, Mistral, OpenRouter, Ollama
and vLLM.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from convergence_cluster.domain.calls import Answer, Finish, Request, TestCase
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import PermanentError, TransientError
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.providers.generic import fault_in_body, to_bytes
from convergence_cluster.providers.http import Endpoint, Reply, Transport
from convergence_cluster.providers.paths import compile_path
from convergence_cluster.providers.streams import assemble_chat, is_stream
from convergence_cluster.providers.templates import Render, compile_json, compile_text, scope_of
from convergence_cluster.providers.usage import amount, read_finish, read_usage

_TEXT_KEYS = ("prompt", "question", "input", "text", "query")
_MAX_TOKENS = frozenset({"max_tokens", "max_completion_tokens"})


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRule:
    """How a configuration and a case become one chat request."""

    body: Mapping[str, Json] = field(default_factory=dict)
    """Fixed fields, templates allowed; the configuration's parameters overrule them."""
    system_parameter: str = "system_prompt"
    """This parameter is the system message."""
    template_parameter: str = "prompt_template"
    """This parameter is a template over `case` and `params`; what it renders is the user message."""
    max_tokens_name: str | None = None
    """Sends `max_tokens` and `max_completion_tokens` under this name; None: under the name that the study uses."""
    result: str | None = None
    """JMESPath over the answer's body; None: the message's text."""


class OpenAIChatProvider:
    """Sends attempts to one chat completions endpoint."""

    def __init__(self, *, transport: Transport, endpoint: Endpoint, clock: Clock, rule: ChatRule | None = None) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._clock = clock
        self._rule = rule or ChatRule()
        self._body = compile_json(self._rule.body, "request.body")
        self._result = compile_path(self._rule.result, "response.result_field")

    async def send(self, request: Request) -> Answer:
        """Send one attempt.

        Raises:
            TransientError: worth another attempt.
            InfeasibleError: the model does not accept this configuration.
            ProviderStopError: wrong key or no money.
            PermanentError: this call is not accepted.
        """
        headers = {"Content-Type": "application/json", "Idempotency-Key": request.idempotency_key}
        content = to_bytes(self.body_of(request))
        reply = await self._transport.exchange(self._endpoint, headers=headers, content=content)
        now_s = self._clock.now_s()
        reply.raise_for_status(request.configuration, now_s)
        return self._read(reply, request, now_s)

    async def close(self) -> None:
        """Free the connections."""
        await self._transport.close()

    def body_of(self, request: Request) -> Mapping[str, Json]:
        """Return the JSON body of a request.

        `messages` of the case go out as they are, with the case's other keys; else one user message is made from
        `prompt`, `question`, `input`, `text` or `query`. A `stream` asks for its usage, unless the study says
        otherwise.

        Raises:
            PermanentError: the case has none of these, or a template fails.
        """
        rule = self._rule
        prompts = {rule.system_parameter, rule.template_parameter}
        body: dict[str, Json] = dict(self._body(scope_of(request.configuration, request.case))) if rule.body else {}
        if "messages" in request.case.input:
            body |= {key: value for key, value in request.case.input.items() if key not in prompts}
        body["messages"] = self._messages(request.configuration, request.case, body.get("messages"))
        body |= {name: value for name, value in request.configuration.items() if name not in prompts}
        if body.get("stream") is True:
            body.setdefault("stream_options", {"include_usage": True})
        if rule.max_tokens_name is not None:
            for name in _MAX_TOKENS & body.keys() - {rule.max_tokens_name}:
                body[rule.max_tokens_name] = body.pop(name)
        return body

    def _messages(self, configuration: Configuration, case: TestCase, given: Json) -> Sequence[Json]:
        rule = self._rule
        template = configuration.get(rule.template_parameter)
        if isinstance(template, str):
            text = str(_compiled(template)(scope_of(configuration, case)))
            given = [{"role": "user", "content": text}]
        elif given is None:
            given = [{"role": "user", "content": _text_of(case)}]
        system = configuration.get(rule.system_parameter, case.input.get(rule.system_parameter))
        if not isinstance(system, str):
            return list(given)
        rest = [item for item in given if not (isinstance(item, Mapping) and item.get("role") == "system")]
        return [{"role": "system", "content": system}, *rest]

    def _read(self, reply: Reply, request: Request, now_s: float) -> Answer:
        body = assemble_chat(reply) if is_stream(reply) else reply.json()
        if isinstance(body, Mapping) and body.get("error"):
            raise fault_in_body(reply, body, "", request, now_s)
        choice = _first_choice(body, reply)
        text, finish = _read_choice(choice, reply)
        usage = body.get("usage")
        model = body.get("model")
        return Answer(
            text=text,
            result=text if self._result is None else self._result(body),
            raw=body,
            status=reply.status,
            finish=finish,
            usage=read_usage(usage),
            model=model if isinstance(model, str) else None,
            cost_usd=_reported_cost(usage),
            latency_s=reply.latency_s,
        )


@lru_cache(maxsize=1024)
def _compiled(source: str) -> Render:
    return compile_text(source, "prompt_template")


def _text_of(case: TestCase) -> str:
    for key in _TEXT_KEYS:
        value = case.input.get(key)
        if value is not None:
            return value if isinstance(value, str) else to_bytes(value).decode()
    expected = ", ".join(("messages", *_TEXT_KEYS))
    raise PermanentError(f"test case {case.id!r} has {sorted(case.input)} in its input; expected one of {expected}")


def _first_choice(body: Json, reply: Reply) -> Mapping[str, Json]:
    choices = body.get("choices") if isinstance(body, Mapping) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, Mapping) or not isinstance(choice.get("message"), Mapping):
        raise TransientError(f"{reply.where}: HTTP {reply.status}, but the answer has no message", kind="unknown")
    return choice


def _read_choice(choice: Mapping[str, Json], reply: Reply) -> tuple[str, Finish]:
    message, reason = choice["message"], choice.get("finish_reason")
    if reason == "error":
        raise TransientError(f"{reply.where}: the model stopped with an error", kind="unknown")
    if isinstance(refusal := message.get("refusal"), str) and refusal:
        return refusal, Finish.REFUSAL
    text = _content(message.get("content"))
    if not text and message.get("tool_calls"):
        text = to_bytes(message["tool_calls"]).decode()
    return text, read_finish(reason)


def _content(content: Json) -> str:
    """Return the text of a message; Mistral's reasoning models write a list of chunks, of which `text` ones count."""
    if isinstance(content, list):
        return "".join(str(chunk.get("text") or "") for chunk in content if isinstance(chunk, Mapping))
    return content if isinstance(content, str) else ""


def _reported_cost(usage: Json) -> float | None:
    """Return OpenRouter's `usage.cost` in USD; with the user's own upstream key, that key's cost comes on top."""
    if not isinstance(usage, Mapping) or (cost := amount(usage.get("cost"))) is None:
        return None
    details = usage.get("cost_details")
    upstream = amount(details.get("upstream_inference_cost")) if isinstance(details, Mapping) else None
    return cost + (upstream or 0.0) if usage.get("is_byok") else cost
