"""What chats have in common, whoever serves them: a configuration and a case become a dialogue, a body an answer."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import quote

from convergence_cluster.domain.calls import Answer, Finish, Request, TestCase, Usage
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import PermanentError, before_sending
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.providers.faults import code_of, message_of
from convergence_cluster.providers.http import Endpoint, Transport
from convergence_cluster.providers.paths import compile_path
from convergence_cluster.providers.replies import Reply
from convergence_cluster.providers.request_rule import to_bytes
from convergence_cluster.providers.response_rule import fault_in_body
from convergence_cluster.providers.streams import first_piece_s, is_stream
from convergence_cluster.providers.templates import Render, compile_json, compile_text, scope_of
from convergence_cluster.providers.usage import MisreportError

MODEL_IN_URL = "{model}"
_TEXT_KEYS = ("prompt", "question", "input", "text", "query")
_METERED = ("usage", "usageMetadata")
_FILTERED = "content_filter"
_INNER_CAPITAL = re.compile(r"(?<=[a-z0-9])([A-Z])")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRule:
    """How a configuration and a case become one chat request."""

    body: Mapping[str, Json] = field(default_factory=dict)
    """Fixed fields, templates allowed; the configuration's parameters overrule them."""
    system_parameter: str = "system_prompt"
    """This parameter is the system message."""
    template_parameter: str = "prompt_template"
    """This parameter is a template over `case` and `params`; what it renders is the user message."""
    result: str | None = None
    """JMESPath over the answer's body; None: the message's text."""
    streams: bool = False
    """Whether answers are asked for in pieces where the study does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What a vendor's body says."""

    text: str
    finish: Finish
    usage: Usage | None = None
    model: str | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatFormat:
    """How one vendor writes requests and answers. Vendors that differ little differ by data alone."""

    path: str
    """Completes an endpoint that stops short of it; `{model}` in a URL stands for the model."""
    write: Callable[[dict[str, Json], Sequence[Json]], Mapping[str, Json]]
    """From the fields in their places and OpenAI-like messages to the body; owns the fields."""
    read: Callable[[Mapping[str, Json], Reply], Written]
    """From the body of an answer that is no error."""
    assemble: Callable[[Reply], Json]
    """From a stream of events to the body that the answer would have been in one."""
    speaks: Callable[[Mapping[str, Json]], bool]
    """Whether an event of a stream holds a piece of what the answer says, thoughts aside."""
    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Where the body holds a parameter of the study; one not listed stands at the top under its own name."""
    defaults: Mapping[str, Json] = field(default_factory=dict)
    """Parameters that the vendor requires, for studies without them."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent unless the study gives the same."""
    key_header: str = "x-api-key"
    """Carries the key of `api_key`, unless the study names another."""
    dialogue: str = "messages"
    """The body's field for the dialogue; a study whose fixed body has it says all about the dialogue itself."""
    is_model_in_url: bool = False
    """The body has no field for the model."""
    stream_url: Callable[[str], str] | None = None
    """From the URL of an answer in one to that of a stream, where `stream` is not a field of the body."""


class ChatProvider:
    """Sends attempts to one chat endpoint."""

    def __init__(
        self,
        *,
        transport: Transport,
        endpoint: Endpoint,
        clock: Clock,
        wire: ChatFormat,
        rule: ChatRule | None = None,
    ) -> None:
        self._transport = transport
        self._endpoint = replace(endpoint, expects_json_events=True)
        self._clock = clock
        self._wire = wire
        self._rule = rule or ChatRule()
        given = {name.lower() for name in endpoint.headers}
        defaults = {name: value for name, value in wire.headers.items() if name.lower() not in given}
        self._headers = {"Content-Type": "application/json", **defaults}
        self._url = compile_text(endpoint.url, "endpoint")
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
        with before_sending():
            url, body = self.message_of(request)
            content = to_bytes(body)
        headers = {**self._headers, "Idempotency-Key": request.idempotency_key}
        reply = await self._transport.exchange(self._endpoint, url=url, headers=headers, content=content)
        now_s = self._clock.now_s()
        if reply.status == HTTPStatus.BAD_REQUEST and (filtered := _filtered(reply)) is not None:
            return filtered
        aliases = self._aliases(request.configuration)
        reply.raise_for_status(request.configuration, now_s, aliases)
        return self._read(reply, request, now_s, aliases)

    async def close(self) -> None:
        """Free the connections."""
        await self._transport.close()

    def message_of(self, request: Request) -> tuple[str, Mapping[str, Json]]:
        """Return the URL and the JSON body of a request.

        `messages` of the case go out as they are, with the case's other keys; else one user message is made from
        `prompt`, `question`, `input`, `text` or `query`.

        Raises:
            PermanentError: the case has none of these, the URL needs a model and there is none, or a template fails.
        """
        wire, prompts = self._wire, {self._rule.system_parameter, self._rule.template_parameter}
        scope = scope_of(request.configuration, request.case)
        fixed: Mapping[str, Json] = self._body(scope) if self._rule.body else {}
        body: dict[str, Json] = {}
        if self._rule.streams:
            body["stream"] = True
        _place(body, wire.defaults, wire.places)
        _place(body, fixed, wire.places)
        if "messages" in request.case.input:
            own = {key: value for key, value in request.case.input.items() if key not in prompts}
            _place(body, own, wire.places)
        is_native = wire.dialogue in fixed and wire.dialogue != "messages"
        given = body.pop("messages", [] if is_native else None)
        messages = self._messages(request.configuration, request.case, given)
        _place(body, {k: v for k, v in request.configuration.items() if k not in prompts}, wire.places)
        url = self._address(body, str(self._url(scope)))
        return url, wire.write(body, messages)

    def _address(self, body: dict[str, Json], url: str) -> str:
        wire = self._wire
        model = body.pop("model", None) if wire.is_model_in_url else body.get("model")
        if MODEL_IN_URL in url:
            if not isinstance(model, str):
                raise PermanentError("the URL names the model, and the study has no parameter `model`")
            url = url.replace(MODEL_IN_URL, quote(model.removeprefix("models/"), safe=""))
        if wire.stream_url is not None and body.pop("stream", False) is True:
            url = wire.stream_url(url)
        return url

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

    def _read(self, reply: Reply, request: Request, now_s: float, aliases: Mapping[str, str]) -> Answer:
        body = self._wire.assemble(reply) if is_stream(reply) else reply.json()
        fields = body if isinstance(body, Mapping) else {}
        if fields.get("error"):
            raise fault_in_body(reply, body, request, now_s, aliases=aliases)
        try:
            return self._answer(reply, body, self._wire.read(fields, reply))
        except MisreportError as error:
            plain = {key: value for key, value in fields.items() if key not in _METERED}
            answer = self._answer(reply, body, self._wire.read(plain, reply))
            raise PermanentError(f"{reply.where}: {error}", answer=answer) from None

    def _answer(self, reply: Reply, body: Json, written: Written) -> Answer:
        return Answer(
            text=written.text,
            result=written.text if self._result is None else self._result(body),
            raw=body,
            status=reply.status,
            finish=written.finish,
            usage=written.usage,
            model=written.model,
            cost_usd=written.cost_usd,
            latency_s=reply.latency_s,
            ttft_s=first_piece_s(reply, self._wire.speaks) if reply.arrivals else None,
        )

    def _aliases(self, configuration: Configuration) -> Mapping[str, str]:
        """Return the study's parameter for each name under which the vendor speaks of it."""
        aliases: dict[str, str] = {}
        for name in configuration.keys() & self._wire.places.keys():
            leaf = self._wire.places[name][-1]
            aliases |= {leaf: name, _INNER_CAPITAL.sub(r"_\1", leaf).lower(): name}
        return aliases


def split_system(messages: Sequence[Json]) -> tuple[str | None, list[Mapping[str, Json]]]:
    """Return the text of all system messages, None without any, and the other messages."""
    dialogue = [message for message in messages if isinstance(message, Mapping)]
    systems = [message for message in dialogue if str(message.get("role")) in {"system", "developer"}]
    texts = [text_of_content(message.get("content")) for message in systems]
    return "\n\n".join(texts) if texts else None, [message for message in dialogue if message not in systems]


def text_of_content(content: Json) -> str:
    """Return the text of a message, which may be a list of parts of which those with a `text` count."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else ""


def _place(body: dict[str, Json], fields: Mapping[str, Json], places: Mapping[str, tuple[str, ...]]) -> None:
    """Write fields into a body at their places; no mapping that came from outside is changed."""
    body |= {name: value for name, value in fields.items() if name not in places}
    for name in fields.keys() & places.keys():
        *parents, leaf = places[name]
        holder = body
        for parent in parents:
            known = holder.get(parent)
            holder[parent] = dict(known) if isinstance(known, Mapping) else {}
            holder = holder[parent]
        holder[leaf] = fields[name]


def _filtered(reply: Reply) -> Answer | None:
    """Return the refusal that some hosts write as an error: a filter that the prompt itself has triggered."""
    try:
        body = json.loads(reply.body)
    except (ValueError, RecursionError):
        return None
    if _FILTERED not in code_of(body):
        return None
    text = message_of(body)
    return Answer(
        text=text, result=text, raw=body, status=reply.status, finish=Finish.REFUSAL, latency_s=reply.latency_s
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
