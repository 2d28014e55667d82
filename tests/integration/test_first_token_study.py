"""A study that measures the time to the first token."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from convergence_cluster.api import optimize
from convergence_cluster.domain.errors import SpecError
from tests.contracts.loopback import as_json, serving

STUDY = """
api:
  name: x
  provider: PROVIDER
  endpoint: URL/v1/chat/completions
  prices: {per_call_usd: 0}
search_space: {parameters: {model: [slow, fast]}}
evaluation:
  test_cases:
    - {input: {prompt: one}, expected: yes}
    - {input: {prompt: two}, expected: yes}
  metrics:
    quality: {weight: 0.5, function: contains}
    ttft: {weight: 0.5, threshold: 50}
budget: {calls: 24}
legacy: {enabled: false}
output: {save_path: results}
"""


class Handler(BaseHTTPRequestHandler):
    """Both models are as fast in all; one of them begins early."""

    seen: list[Any]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.seen.append(body)
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        before_s = 0.06 if body["model"] == "slow" else 0.005
        sleep(before_s)
        self._event({"choices": [{"delta": {"content": "yes"}, "finish_reason": None}]})
        sleep(0.07 - before_s)
        self._event({"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": None})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, event: Any) -> None:
        self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the interface of http.server
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Handler.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield running
        running.shutdown()


def test_the_model_that_begins_first_wins(
    server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = STUDY.replace("URL", f"http://127.0.0.1:{server.server_port}").replace("PROVIDER", "openai")
    (tmp_path / "study.yaml").write_text(text)

    result = optimize(tmp_path / "study.yaml")

    assert result.best_config == {"model": "fast"}
    assert all(body["stream"] is True for body in Handler.seen)
    best = result.report.recommendation.best
    assert best is not None
    names = [metric.name for metric in result.report.metrics]
    assert 5.0 <= best.objectives[names.index("ttft_ms")].mean < 45.0


def test_an_api_that_does_not_stream_is_refused_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    async def act() -> int:
        async with serving(as_json({})) as running:
            text = STUDY.replace("URL", running.url).replace("PROVIDER", "http")
            (tmp_path / "study.yaml").write_text(text)
            with pytest.raises(SpecError, match="ttft_ms: only chats come as streams; http answers at once"):
                await asyncio.to_thread(optimize, tmp_path / "study.yaml")
            return len(running.received)

    assert asyncio.run(act()) == 0
