"""The adapter for any HTTP API: templates build the request, JMESPath reads the answer."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from convergence_cluster.domain.calls import Answer, Finish, Request, Usage
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import ConvergenceError, PermanentError, SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.faults import fault, message_of, status_in
from convergence_cluster.providers.http import Endpoint, Reply, Transport
from convergence_cluster.providers.paths import compile_path
from convergence_cluster.providers.templates import Render, Scope, compile_json, scope_of
from convergence_cluster.providers.usage import amount, count, read_finish, read_usage

_BODILESS = frozenset({"GET", "HEAD", "DELETE"})
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestRule:
    """Templates of a request. Without any, the case's input and the configuration are merged, as query for a GET."""

    body: Json = None
    """A mapping or list is sent as JSON (as a form under that content type), a text as it is."""
    query: Mapping[str, Json] | None = None
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CostTerm:
    """A part of the cost that the answer counts in units: credits, seconds, tokens."""

    path: str
    usd_per_unit: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ResponseRule:
    """JMESPath expressions over the answer's body."""

    result: str | None = None
    """None: the whole body."""
    usage: str | Mapping[str, str] | None = None
    """Path of a `usage` object, or a path for each field of `Usage`; None: a top-level `usage`, if there is one."""
    cost: tuple[CostTerm, ...] = ()
    error: str | None = None
    """Anything but null, false and empty there is an error whatever the status."""
    success_when: str | None = None
    """Over `{status, headers, body}`; a false or null value is an error whatever the status."""
    model: str | None = "model"
    finish: str | None = None


class GenericProvider:
    """Sends attempts to an API that only its study file describes."""

    def __init__(
        self,
        *,
        transport: Transport,
        endpoint: Endpoint,
        clock: Clock,
        request: RequestRule | None = None,
        response: ResponseRule | None = None,
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._clock = clock
        self._build = _Builder(endpoint, request or RequestRule())
        self._reader = ResponseReader(response or ResponseRule())

    async def send(self, request: Request) -> Answer:
        """Send one attempt.

        Raises:
            TransientError: worth another attempt.
            InfeasibleError: the API does not accept this configuration.
            ProviderStopError: no call will be accepted any more.
            PermanentError: this call is not accepted, or its answer lacks what the study file names.
        """
        url, headers, content = self._build(request)
        headers.setdefault("Idempotency-Key", request.idempotency_key)
        reply = await self._transport.exchange(self._endpoint, url=url, headers=headers, content=content)
        now_s = self._clock.now_s()
        reply.raise_for_status(request.configuration, now_s)
        return self._reader.read(reply, request, now_s)

    async def close(self) -> None:
        """Free the connections."""
        await self._transport.close()


class _Builder:
    """Turns a request in our words into one on the wire."""

    def __init__(self, endpoint: Endpoint, rule: RequestRule) -> None:
        self._is_bodiless = endpoint.method.upper() in _BODILESS
        self._is_merged = rule.body is None and rule.query is None
        self._url = compile_json(endpoint.url, "endpoint")
        self._body = None if rule.body is None else compile_json(rule.body, "request.body")
        self._query = None if rule.query is None else compile_json(rule.query, "request.query")
        self._headers: Render = compile_json(rule.headers or {}, "request.headers")
        self._content_type = {name.lower(): value for name, value in endpoint.headers.items()}.get("content-type")

    def __call__(self, request: Request) -> tuple[str, dict[str, str], bytes | None]:
        scope: Scope = scope_of(request.configuration, request.case)
        query: Mapping[str, Json] | None = None if self._query is None else self._query(scope)
        body: Json = None if self._body is None else self._body(scope)
        if self._is_merged:
            merged = {**request.case.input, **request.configuration}
            query, body = (merged, None) if self._is_bodiless else (None, merged)
        headers = {name: str(value) for name, value in self._headers(scope).items()}
        url = str(self._url(scope))
        if query:
            url += ("&" if "?" in url else "?") + urlencode(_pairs(query))
        return url, headers, None if body is None else self._encode(body, headers)

    def _encode(self, body: Json, headers: dict[str, str]) -> bytes:
        if isinstance(body, str):
            return body.encode()
        kind = self._content_type or next((v for k, v in headers.items() if k.lower() == "content-type"), None)
        if kind is None:
            headers["Content-Type"] = "application/json"
        if kind is not None and kind.startswith(_FORM) and isinstance(body, Mapping):
            return urlencode(_pairs(body)).encode()
        return to_bytes(body)


class ResponseReader:
    """Reads an answer by the study's paths."""

    def __init__(self, rule: ResponseRule) -> None:
        self._rule = rule
        self._result = compile_path(rule.result, "response.result_field")
        self._error = compile_path(rule.error, "response.error")
        self._success = compile_path(rule.success_when, "response.success_when")
        self._model = compile_path(rule.model, "response.model")
        self._finish = compile_path(rule.finish, "response.finish")
        self._costs = tuple((compile_path(term.path, "response.cost"), term.usd_per_unit) for term in rule.cost)
        usage = rule.usage if isinstance(rule.usage, Mapping) else {}
        self._counts = {name: compile_path(path, f"response.usage.{name}") for name, path in usage.items()}
        path = "usage" if rule.usage is None else rule.usage
        self._usage = compile_path(path, "response.usage") if isinstance(path, str) else None
        if unknown := self._counts.keys() - set(Usage.__dataclass_fields__):
            raise SpecError(f"response.usage: unknown {sorted(unknown)}; expected {list(Usage.__dataclass_fields__)}")

    def read(self, reply: Reply, request: Request, now_s: float) -> Answer:
        """Return the answer in our words. Raises as `GenericProvider.send`."""
        body = self._decode(reply)
        self._check(reply, body, request, now_s)
        result = body if self._result is None else self._result(body)
        if self._result is not None and result is None:
            keys = sorted(body)[:10] if isinstance(body, Mapping) else type(body).__name__
            raise PermanentError(f"{reply.where}: no result at {self._rule.result!r}; the answer has {keys}")
        model = None if self._model is None or not isinstance(body, Mapping) else self._model(body)
        return Answer(
            text=result if isinstance(result, str) else to_bytes(result).decode(),
            result=result,
            raw=body,
            status=reply.status,
            finish=Finish.STOP if self._finish is None else read_finish(self._finish(body)),
            usage=self._read_usage(body),
            model=model if isinstance(model, str) else None,
            cost_usd=self._read_cost(body),
            latency_s=reply.latency_s,
        )

    def _decode(self, reply: Reply) -> Json:
        is_text = self._result is None and "json" not in reply.headers.get("content-type", "")
        if is_text and reply.body[:1] not in {b"{", b"["}:
            return reply.body.decode(errors="replace")
        return reply.json()

    def _check(self, reply: Reply, body: Json, request: Request, now_s: float) -> None:
        error = None if self._error is None else self._error(body)
        document = {"status": reply.status, "headers": reply.headers, "body": body}
        is_success = self._success is None or bool(self._success(document))
        if error or not is_success:
            raise fault_in_body(reply, body, request, now_s, message=message_of(error))

    def _read_usage(self, body: Json) -> Usage | None:
        if self._counts:
            counts = {name: read(body) for name, read in self._counts.items() if read is not None}
            return (
                None if all(n is None for n in counts.values()) else Usage(**{k: count(n) for k, n in counts.items()})
            )
        return None if self._usage is None or not isinstance(body, Mapping) else read_usage(self._usage(body))

    def _read_cost(self, body: Json) -> float | None:
        terms = [(read(body), usd) for read, usd in self._costs if read is not None]
        known = [number * usd for value, usd in terms if (number := amount(value)) is not None]
        return sum(known) if known and len(known) == len(terms) else None


def fault_in_body(
    reply: Reply,
    body: Json,
    request: Request,
    now_s: float,
    *,
    message: str = "",
    aliases: Mapping[str, str] | None = None,
) -> ConvergenceError:
    """Return what to raise for an answer that says by its body that it is none."""
    status = status_in(body)
    if status is not None:
        return fault(
            status=status,
            headers=reply.headers,
            body=body,
            text=message,
            where=reply.where,
            configuration=request.configuration,
            now_s=now_s,
            aliases=aliases,
        )
    said = message or message_of(body) or to_bytes(body)[:300].decode(errors="replace")
    return PermanentError(f"{reply.where}: HTTP {reply.status}, but the answer is an error: {said[:300]}")


def to_bytes(value: Json) -> bytes:
    """Return compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _pairs(query: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Return query pairs: lists repeat their key, mappings are JSON, nulls are left out."""
    return [
        (name, item if isinstance(item, str) else to_bytes(item).decode())
        for name, value in query.items()
        for item in (value if isinstance(value, list | tuple) else [value])
        if item is not None
    ]
