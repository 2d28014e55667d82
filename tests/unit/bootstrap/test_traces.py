"""Spans of a study: one trace from its submission to every request, in the conventions' words, without content."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from convergence_cluster.bootstrap.traces import NoTraces, open_traces
from convergence_cluster.domain.calls import Answer, Request, TestCase, Usage
from convergence_cluster.domain.errors import ConvergenceError, TransientError
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.tracing import Tracing, process_tracing
from convergence_cluster.trials.protocols import Provider

STUDY = "20261125-184500-abcdef"
SECRET = "the prompt that nobody shall see"


class Answering:
    def __init__(self, error: ConvergenceError | None = None) -> None:
        self._error = error

    async def send(self, request: Request) -> Answer:
        if self._error is not None:
            raise self._error
        usage = Usage(input_tokens=11, output_tokens=7)
        return Answer(text=SECRET, result=SECRET, raw={}, usage=usage, model="gpt-4.1-mini-2025-04-14")

    async def close(self) -> None:
        pass


class Recorded:
    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracing = Tracing(self.exporter, is_batched=False)

    def spans(self) -> Mapping[str, ReadableSpan]:
        return {span.name: span for span in self.exporter.get_finished_spans()}

    def provider(self, inner: Provider, **changes: Any) -> Provider:
        given = {"kind": "openai", "url": "https://api.openai.com/v1/chat/completions", "is_model": True, **changes}
        return self.tracing.provider(inner, defaults={"model": "gpt-4.1-mini"}, **given)


def request(**configuration: Any) -> Request:
    case = TestCase(id=CaseId("a"), input={"prompt": SECRET})
    return Request(configuration=configuration, case=case, idempotency_key=f"{STUDY}:3:1:0")


def ids(span: ReadableSpan) -> tuple[int, int, int | None]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id, None if span.parent is None else span.parent.span_id


def test_a_request_on_a_worker_hangs_from_the_study_that_another_process_submitted() -> None:
    submitter, coordinator, worker = Recorded(), Recorded(), Recorded()

    submitter.tracing.submitted(STUDY, "bot")
    headers = coordinator.tracing.headers(STUDY, f"{STUDY}:1", attempt=0, n_calls=1)
    with worker.tracing.task(headers, f"{STUDY}:1"):
        asyncio.run(worker.provider(Answering()).send(request(temperature=0.5)))

    root, sent = submitter.spans()["study bot"], coordinator.spans()["send task"]
    run, chat = worker.spans()["run task"], worker.spans()["chat gpt-4.1-mini"]
    assert {ids(span)[0] for span in (root, sent, run, chat)} == {ids(root)[0]}
    assert [ids(span)[2] for span in (root, sent, run, chat)] == [None, ids(root)[1], ids(sent)[1], ids(run)[1]]
    assert [span.kind for span in (sent, run, chat)] == [SpanKind.PRODUCER, SpanKind.CONSUMER, SpanKind.CLIENT]


def test_a_request_of_a_model_has_the_attributes_of_the_conventions() -> None:
    recorded = Recorded()

    asyncio.run(recorded.provider(Answering()).send(request(temperature=0.5, max_tokens=64, stop=True)))

    span = recorded.spans()["chat gpt-4.1-mini"]
    assert dict(span.attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4.1-mini",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 64,
        "gen_ai.response.model": "gpt-4.1-mini-2025-04-14",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 7,
        "server.address": "api.openai.com",
        "http.response.status_code": 200,
        "convergence.study": STUDY,
        "convergence.arm": 3,
        "convergence.case": 1,
        "convergence.repeat": 0,
    }


def test_without_a_task_a_request_hangs_from_its_study() -> None:
    recorded = Recorded()

    recorded.tracing.submitted(STUDY, "bot")
    asyncio.run(recorded.provider(Answering()).send(request()))

    spans = recorded.spans()
    assert ids(spans["chat gpt-4.1-mini"])[2] == ids(spans["study bot"])[1]


@pytest.mark.parametrize(
    ("kind", "name", "vendor"),
    [("gemini", "generate_content gpt-4.1-mini", "gcp.gemini"), ("azure", "chat gpt-4.1-mini", "azure.ai.openai")],
)
def test_providers_have_the_names_of_the_conventions(kind: str, name: str, vendor: str) -> None:
    recorded = Recorded()

    asyncio.run(recorded.provider(Answering(), kind=kind).send(request()))

    assert (recorded.spans()[name].attributes or {})["gen_ai.provider.name"] == vendor


def test_an_api_that_is_no_model_has_no_words_of_models() -> None:
    recorded = Recorded()

    plain = recorded.provider(Answering(), kind="http", url="http://127.0.0.1:8080/x", is_model=False)
    asyncio.run(plain.send(request()))

    attributes = recorded.spans()["call http"].attributes or {}
    assert (attributes["server.address"], attributes["server.port"]) == ("127.0.0.1", 8080)
    assert [name for name in attributes if name.startswith("gen_ai")] == []


def test_a_failure_is_marked_by_its_kind_and_nothing_of_it_is_told() -> None:
    recorded = Recorded()
    failing = recorded.provider(Answering(TransientError(SECRET, kind="unknown")))

    with pytest.raises(TransientError):
        asyncio.run(failing.send(request()))

    span = recorded.spans()["chat gpt-4.1-mini"]
    assert (span.status.status_code, (span.attributes or {})["error.type"]) == (StatusCode.ERROR, "unknown")
    assert SECRET not in span.to_json()


def test_no_prompt_and_no_answer_is_in_a_span() -> None:
    recorded = Recorded()

    asyncio.run(recorded.provider(Answering()).send(request(system_prompt=SECRET)))

    assert all(SECRET not in span.to_json() for span in recorded.exporter.get_finished_spans())


def test_where_nothing_is_asked_for_nothing_is_done_and_nothing_imported() -> None:
    code = (
        "import sys; import convergence_cluster.bootstrap.runner\n"
        "from convergence_cluster.bootstrap.traces import open_traces\n"
        "t = open_traces(None); o = object(); p = t.provider(o, kind='', url='', is_model=True, defaults={})\n"
        "print(p is o, t.headers('s', 't', attempt=0, n_calls=1), [m for m in sys.modules if 'opentelemetry' in m])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "True {} []"
    assert isinstance(open_traces(None), NoTraces)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConvergenceError, match="CONVERGENCE_TRACES names the file"):
        process_tracing(str(tmp_path / "nowhere" / "spans.jsonl"))
