"""Invariant: a key is found nowhere, even when the server throws it back in every place that an answer has."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.study_runs import Folder, wait_until

SECRET = "canary-Zq7+4f9b2c1d8e-end=="
FORMS = (SECRET.encode(), quote(SECRET, safe="").encode(), b"4f9b2c1d8e")


class Echo(BaseHTTPRequestHandler):
    """Answers with the caller's key in body, header, error message, redirect, broken JSON or half an answer."""

    protocol_version = "HTTP/1.1"
    n_requests = count()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        key = self.headers["authorization"]
        match next(self.n_requests) % 8:
            case 1:
                self._answer(400, _error(f"the key {key} is not good at arm"))
            case 2:
                self._answer(503, _error(f"{key} is overloaded"), {"retry-after": "0.01"})
            case 3:
                self._answer(302, b"", {"location": f"http://127.0.0.1:1/{quote(key)}?key={quote(key)}"})
            case 4:
                self._answer(200, f"{key} is no JSON".encode())
            case 5:
                self._answer(200, _completion(key), {"content-length": "100000"})
                self.close_connection = True
            case _:
                self._answer(200, _completion(key), {"x-echo": key, "x-request-id": key})

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"content-length": str(len(body))} | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "code": message, "param": None}}).encode()


def _completion(key: str) -> bytes:
    message = {"role": "assistant", "content": f"{key} {quote(key)}", "refusal": None}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return json.dumps({"choices": [choice], "model": key, "usage": usage}).encode()


@pytest.fixture
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/chat/completions"
        server.shutdown()
        thread.join()


def study(endpoint: str, *, calls: int) -> dict[str, Any]:
    return {
        "api": {
            "name": "hostile",
            "provider": "openai",
            "endpoint": endpoint,
            "auth": {"type": "bearer", "token_env": "CANARY_VALUE"},
            "prices": {"input_per_million_usd": 1.0, "output_per_million_usd": 1.0},
        },
        "search_space": {"parameters": {"model": ["a", "b"], "temperature": [0.0, 0.5, 1.0]}},
        "evaluation": {
            "test_cases": [{"id": f"case-{n}", "input": {"prompt": f"{n}?"}, "expected": "Bearer"} for n in range(20)],
            "metrics": {"quality": {"weight": 1.0, "function": "contains"}},
        },
        "optimization": {"execution": {"parallel_workers": 4, "max_retries": 1, "early_stopping": {"enabled": False}}},
        "budget": {"calls": calls},
        "output": {"export_best_config": {"enabled": True, "format": "env", "output_path": "./best.env"}},
    }


def places_of_secret(folder: Folder) -> list[str]:
    """Every file below a folder that holds any form of the secret."""
    files = [path for path in folder.path.rglob("*") if path.is_file()]
    assert len(files) > 3
    return [str(path) for path in files for content in [path.read_bytes()] if any(form in content for form in FORMS)]


def test_a_key_is_in_no_file_and_in_no_output(endpoint: str, tmp_path: Path) -> None:
    folder = Folder(path=tmp_path, environ={"CANARY_VALUE": SECRET, "CONVERGENCE_LOG_LEVEL": "debug"})
    folder.write(study(endpoint, calls=200))
    commands = [
        ("optimize", "study.yaml", "--json"),
        ("report", "-o", "again"),
        ("status",),
        ("legacy", "export", "-o", "legacy.json"),
        ("legacy", "export", "--family", "hostile", "-o", "legacy"),
    ]

    done = [folder.run(*words) for words in commands]

    texts = [text.encode() for finished in done for text in (finished.out, finished.err)]
    assert [finished.code for finished in done] == [0] * len(commands), done[0].err
    assert [text for text in texts if any(form in text for form in FORMS)] == []
    assert places_of_secret(folder) == []
    books = folder.books()
    assert {row["kind"] for row in books.calls.values()} >= {"ok", "failed"}
    assert any("[redacted]" in (row.get("answer") or "") for row in books.calls.values())
    assert any("redirects to" in (row.get("error") or "") for row in books.calls.values())


def test_a_key_is_not_in_what_a_killed_study_leaves_behind(endpoint: str, tmp_path: Path) -> None:
    folder = Folder(path=tmp_path, environ={"CANARY_VALUE": SECRET})
    folder.write(study(endpoint, calls=10_000))
    process = folder.fork("optimize", "study.yaml")
    log = tmp_path / ".convergence" / "convergence.db-wal"
    wait_until(lambda: log.exists() and log.stat().st_size > 200_000)

    process.kill()
    process.join()

    assert log.exists()
    assert places_of_secret(folder) == []
