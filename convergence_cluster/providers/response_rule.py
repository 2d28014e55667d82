"""What an answer of any HTTP API means: JMESPath of the study file, applied to one answer."""

from collections.abc import Mapping
from dataclasses import dataclass

from convergence_cluster.domain.calls import Answer, Finish, Request, Usage
from convergence_cluster.domain.errors import ConvergenceError, PermanentError, SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.faults import fault, message_of, status_in
from convergence_cluster.providers.paths import compile_path
from convergence_cluster.providers.replies import Reply
from convergence_cluster.providers.request_rule import to_bytes
from convergence_cluster.providers.usage import MisreportError, count, read_finish, read_usage, sensible_cost, units


@dataclass(frozen=True, kw_only=True, slots=True)
class CostTerm:
    """A part of the cost that an answer counts in units: credits, seconds, tokens."""

    path: str
    usd_per_unit: float = 1.0
    is_required: bool = True
    """Without this number the cost is unknown; else its absence counts as 0."""
    step: str | None = None
    """Which answer of a job it is in, a key of `ResponseReader.read`'s `documents`; None: the one with the result."""


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


class ResponseReader:
    """Reads an answer by the study's paths."""

    def __init__(self, rule: ResponseRule) -> None:
        self._rule = rule
        self._result = compile_path(rule.result, "response.result_field")
        self._error = compile_path(rule.error, "response.error")
        self._success = compile_path(rule.success_when, "response.success_when")
        self._model = compile_path(rule.model, "response.model")
        self._finish = compile_path(rule.finish, "response.finish")
        self._costs = [(compile_path(term.path, "response.cost"), term) for term in rule.cost]
        usage = rule.usage if isinstance(rule.usage, Mapping) else {}
        self._counts = {name: compile_path(path, f"response.usage.{name}") for name, path in usage.items()}
        path = "usage" if rule.usage is None else rule.usage
        self._usage = compile_path(path, "response.usage") if isinstance(path, str) else None
        if unknown := self._counts.keys() - set(Usage.__dataclass_fields__):
            raise SpecError(f"response.usage: unknown {sorted(unknown)}; expected {list(Usage.__dataclass_fields__)}")

    def read(self, reply: Reply, request: Request, now_s: float, documents: Mapping[str, Json] | None = None) -> Answer:
        """Return the answer in our words; `documents` are the bodies of a job's other answers.

        Raises:
            PermanentError: it says that it is an error, lacks the result, or reports what no answer can have taken;
                what it cost is booked all the same, as far as that can be told.
            ConvergenceError: as `faults.fault`, where it names the status of an error.
        """
        body = self._decode(reply)
        answer, misreport = self._answer(reply, body, documents or {})
        self._check(reply, body, request, now_s, answer)
        if self._result is not None and answer.result is None:
            keys = sorted(body)[:10] if isinstance(body, Mapping) else type(body).__name__
            message = f"{reply.where}: no result at {self._rule.result!r}; the answer has {keys}"
            raise PermanentError(message, answer=answer)
        if misreport is not None:
            raise PermanentError(f"{reply.where}: {misreport}", answer=answer)
        return answer

    def answer(self, reply: Reply, body: Json, documents: Mapping[str, Json] | None = None) -> Answer:
        """Return what a body says, whether or not it is a success; tokens and costs that cannot be are left out."""
        answer, _ = self._answer(reply, body, documents or {})
        return answer

    def _answer(self, reply: Reply, body: Json, documents: Mapping[str, Json]) -> tuple[Answer, MisreportError | None]:
        """Return the answer without what it cannot have taken, and what that is."""
        misreport: MisreportError | None = None
        usage, cost_usd = None, None
        try:
            usage = self._read_usage(body)
        except MisreportError as error:
            misreport = error
        try:
            cost_usd = self._read_cost(body, documents)
        except MisreportError as error:
            misreport = error
        result = body if self._result is None else self._result(body)
        model = None if self._model is None or not isinstance(body, Mapping) else self._model(body)
        answer = Answer(
            text=result if isinstance(result, str) else to_bytes(result).decode(),
            result=result,
            raw=body,
            status=reply.status,
            finish=Finish.STOP if self._finish is None else read_finish(self._finish(body)),
            usage=usage,
            model=model if isinstance(model, str) else None,
            cost_usd=cost_usd,
            latency_s=reply.latency_s,
        )
        return answer, misreport

    def _decode(self, reply: Reply) -> Json:
        is_text = self._result is None and "json" not in reply.headers.get("content-type", "")
        if is_text and reply.body[:1] not in {b"{", b"["}:
            return reply.body.decode(errors="replace")
        return reply.json()

    def _check(self, reply: Reply, body: Json, request: Request, now_s: float, answer: Answer) -> None:
        error = None if self._error is None else self._error(body)
        document = {"status": reply.status, "headers": reply.headers, "body": body}
        is_success = self._success is None or bool(self._success(document))
        if error or not is_success:
            raise fault_in_body(reply, body, request, now_s, message=message_of(error), answer=answer)

    def _read_usage(self, body: Json) -> Usage | None:
        if self._counts:
            counts = {name: read(body) for name, read in self._counts.items() if read is not None}
            return (
                None if all(n is None for n in counts.values()) else Usage(**{k: count(n) for k, n in counts.items()})
            )
        return None if self._usage is None or not isinstance(body, Mapping) else read_usage(self._usage(body))

    def _read_cost(self, body: Json, documents: Mapping[str, Json]) -> float | None:
        """Return the sum of all terms in USD, or None where one that is required is not there."""
        total_usd, n_found = 0.0, 0
        for read, term in self._costs:
            value = None if read is None else read(body if term.step is None else documents.get(term.step))
            number = units(value)
            if number is None and (term.is_required or value is not None):
                return None
            n_found += number is not None
            total_usd += (number or 0.0) * term.usd_per_unit
        is_known = n_found or (self._costs and not any(term.is_required for _, term in self._costs))
        return sensible_cost(total_usd) if is_known else None


def fault_in_body(
    reply: Reply,
    body: Json,
    request: Request,
    now_s: float,
    *,
    message: str = "",
    aliases: Mapping[str, str] | None = None,
    answer: Answer | None = None,
) -> ConvergenceError:
    """Return what to raise for an answer that says by its body that it is none; `answer` is what it costs anyway."""
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
    where = f"{reply.where}: HTTP {reply.status}"
    return PermanentError(f"{where}, but the answer is an error: {said[:300]}", answer=answer)
