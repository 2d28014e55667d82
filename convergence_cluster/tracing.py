"""Traces of a study by OpenTelemetry, from its submission to every request. Imported only where they are switched on.

A study is one trace, whose ids follow from the study's own: coordinators and workers agree on them without being told,
whoever takes the study over. Spans carry ids, numbers and settings; never a prompt, an answer, or an error's text.
Source: OpenTelemetry semantic conventions for generative AI (gen_ai.*), version of 2026-10.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SimpleSpanProcessor,
    SpanExporter,
)
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from convergence_cluster.domain.calls import Answer, Request
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.trials.protocols import Provider

OTLP = "otlp"
_VENDORS = {
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "openai-responses": "openai",
}
"""What the conventions call a provider, where that is not our own name for it."""
_SETTINGS = {
    "model": "gen_ai.request.model",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "top_k": "gen_ai.request.top_k",
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
}
_PROPAGATOR = TraceContextTextMapPropagator()
_forced: ContextVar[tuple[int, int] | None] = ContextVar("ids of the next span", default=None)


class Tracing:
    """Makes the spans of one process. Thread-safe."""

    def __init__(self, exporter: SpanExporter, *, is_batched: bool = True) -> None:
        self._tracers = TracerProvider(resource=_resource(), id_generator=_StudyIds())
        self._tracers.add_span_processor((BatchSpanProcessor if is_batched else SimpleSpanProcessor)(exporter))
        self._tracer = self._tracers.get_tracer("convergence_cluster")

    def submitted(self, study: str, name: str) -> None:
        """Begin the trace of a study: the span that everything else of it hangs from."""
        token = _forced.set(_ids(study))
        try:
            with self._tracer.start_as_current_span(
                f"study {name}", context=Context(), attributes={"convergence.study": study}
            ):
                pass
        finally:
            _forced.reset(token)

    def headers(self, study: str, task: str, *, attempt: int, n_calls: int) -> Mapping[str, str]:
        """Note that a task is sent; return what its message carries for the worker's spans to hang from."""
        attributes: dict[str, str | int] = {
            "messaging.system": "celery",
            "messaging.operation.type": "send",
            "messaging.message.id": task,
            "messaging.batch.message_count": n_calls,
            "convergence.study": study,
            "convergence.attempt": attempt,
        }
        with self._tracer.start_as_current_span(
            "send task", context=_of_study(study), kind=SpanKind.PRODUCER, attributes=attributes
        ) as span:
            carrier: dict[str, str] = {}
            _PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
            return carrier

    @contextmanager
    def task(self, headers: Mapping[str, str], task: str) -> Iterator[None]:
        """Span the work on a task whose message carried `headers`."""
        attributes = {
            "messaging.system": "celery",
            "messaging.operation.type": "process",
            "messaging.message.id": task,
        }
        with self._tracer.start_as_current_span(
            "run task", context=_PROPAGATOR.extract(headers), kind=SpanKind.CONSUMER, attributes=attributes
        ):
            yield

    def provider(self, provider: Provider, *, kind: str, url: str, is_model: bool, defaults: Configuration) -> Provider:
        """Return a provider each of whose attempts is a span."""
        return _Traced(provider, self._tracer, kind=kind, url=url, is_model=is_model, defaults=defaults)

    def flush(self) -> None:
        """Hand over all that is finished."""
        self._tracers.force_flush()


class _StudyIds(RandomIdGenerator):
    """Random ids, but for the first span of a study."""

    def generate_trace_id(self) -> int:
        """Return the id of a new trace."""
        forced = _forced.get()
        return super().generate_trace_id() if forced is None else forced[0]

    def generate_span_id(self) -> int:
        """Return the id of a new span."""
        forced = _forced.get()
        return super().generate_span_id() if forced is None else forced[1]


class _Traced:
    """A provider whose attempts are spans."""

    def __init__(
        self,
        provider: Provider,
        tracer: trace.Tracer,
        *,
        kind: str,
        url: str,
        is_model: bool,
        defaults: Configuration,
    ) -> None:
        self._provider = provider
        self._tracer = tracer
        self._is_model = is_model
        self._operation = "generate_content" if kind == "gemini" else "chat"
        self._defaults = defaults
        where = urlsplit(url)
        self._fixed: dict[str, str | int] = {"server.address": where.hostname or ""}
        if where.port is not None:
            self._fixed["server.port"] = where.port
        if is_model:
            self._fixed |= {
                "gen_ai.operation.name": self._operation,
                "gen_ai.provider.name": _VENDORS.get(kind, kind),
            }
        self._name = f"call {kind}"

    async def send(self, request: Request) -> Answer:
        """Send one attempt."""
        study, arm, case, repeat = request.idempotency_key.rsplit(":", 3)
        asked = {**self._defaults, **request.configuration}
        name = f"{self._operation} {asked.get('model', '')}".strip() if self._is_model else self._name
        attributes = {
            **self._fixed,
            **(_requested(asked) if self._is_model else {}),
            "convergence.study": study,
            "convergence.arm": int(arm),
            "convergence.case": int(case),
            "convergence.repeat": int(repeat),
        }
        context = None if trace.get_current_span().get_span_context().is_valid else _of_study(study)
        with self._tracer.start_as_current_span(
            name,
            context=context,
            kind=SpanKind.CLIENT,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                answer = await self._provider.send(request)
            except ConvergenceError as error:
                span.set_attribute("error.type", getattr(error, "kind", None) or type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise
            _answered(span, answer, is_model=self._is_model)
            return answer

    async def close(self) -> None:
        """Free the connections."""
        await self._provider.close()


@cache
def process_tracing(choice: str) -> Tracing:
    """Return the one tracing of this process: to a collector, by OTEL_EXPORTER_OTLP_*, or into a file.

    Raises:
        ConvergenceError: the file cannot be written.
    """
    if choice == OTLP:
        return Tracing(OTLPSpanExporter())
    try:
        out = Path(choice).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 - open as long as the process
    except OSError as error:
        raise ConvergenceError(f"CONVERGENCE_TRACES names the file {choice}: {error.strerror}") from error
    return Tracing(ConsoleSpanExporter(out=out, formatter=_line), is_batched=False)


def _line(span: ReadableSpan) -> str:
    return json.dumps(json.loads(span.to_json())) + "\n"


def _resource() -> Resource:
    """Return what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say of this process, under our own name if nothing."""
    found = Resource.create()
    is_named = not str(found.attributes["service.name"]).startswith("unknown_service")
    return found if is_named else found.merge(Resource({"service.name": "convergence"}))


def _ids(study: str) -> tuple[int, int]:
    found = hashlib.sha256(study.encode()).digest()
    return int.from_bytes(found[:16], "big") or 1, int.from_bytes(found[16:24], "big") or 1


def _of_study(study: str) -> Context:
    trace_id, span_id = _ids(study)
    flags = TraceFlags(TraceFlags.SAMPLED)
    parent = SpanContext(trace_id=trace_id, span_id=span_id, is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(NonRecordingSpan(parent), Context())


def _requested(asked: Mapping[str, Json]) -> dict[str, str | int | float]:
    return {
        attribute: asked[name]
        for name, attribute in _SETTINGS.items()
        if isinstance(asked.get(name), str | int | float) and not isinstance(asked[name], bool)
    }


def _answered(span: Span, answer: Answer, *, is_model: bool) -> None:
    span.set_attribute("http.response.status_code", answer.status)
    if not is_model:
        return
    span.set_attribute("gen_ai.response.finish_reasons", [answer.finish.value])
    if answer.model is not None:
        span.set_attribute("gen_ai.response.model", answer.model)
    if answer.usage is not None:
        span.set_attribute("gen_ai.usage.input_tokens", answer.usage.input_tokens)
        span.set_attribute("gen_ai.usage.output_tokens", answer.usage.output_tokens)
