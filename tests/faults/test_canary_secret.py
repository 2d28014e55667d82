"""Invariant: a key is found nowhere, even when the server throws it back in every place that an answer has."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest
import redis

from convergence_cluster.storage.database import open_database
from tests.cluster_runs import cluster
from tests.postgres import postgres_server
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
        match next(self.n_requests) % 12:  # fewer bad answers than would put a configuration out
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


class Wiretap:
    """Everything that clients tell a Redis, written down by a thread."""

    def __init__(self, client: redis.Redis) -> None:
        self.heard: list[str] = []
        self._client = client
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        wait_until(lambda: "MONITORED" in self.heard)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._client.set("wiretap", "over")
        self._thread.join(10)

    def _listen(self) -> None:
        with self._client.monitor() as monitor:  # type: ignore[no-untyped-call]  # redis has no type for it
            self.heard.append("MONITORED")
            while not self._is_over.is_set():
                self.heard.append(monitor.next_command()["command"])


def rows_of(url: str) -> bytes:
    """Every row of every table of a database."""
    database = open_database(url)
    try:
        with database.read() as connection:
            names = connection.exec_driver_sql(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
            ).scalars()
            tables = [connection.exec_driver_sql(f'SELECT * FROM "{name}"').all() for name in list(names)]
    finally:
        database.close()
    assert sum(map(len, tables)) > 100
    return repr(tables).encode()


def test_keys_and_passwords_are_in_no_message_no_row_and_no_log_of_a_cluster(endpoint: str, tmp_path: Path) -> None:
    """Three secrets: the API's key, which the server throws back; the passwords of Redis and of the database."""
    redis_password, database_password = "canary-Redis8x71c3", "canary-Pg55e0aa91"
    with postgres_server() as postgres:
        url = postgres.new_database().replace("postgres@", f"postgres:{database_password}@")
        with cluster(tmp_path, database_url=url, password=redis_password) as running:
            running.folder = running.folder.with_variables({"CONVERGENCE_LOG_LEVEL": "debug"})
            running.coordinator()
            running.worker(CANARY_VALUE=SECRET)
            with running.client() as client, Wiretap(client) as wiretap:
                submitted = running.submit(study(endpoint, calls=200))
                running.finish(submitted)
            done = [running.folder.call(*words) for words in (("status",), ("report", submitted, "-o", "again"))]
            broken = running.folder.call("status", CONVERGENCE_DATABASE_URL=url.replace("/test_", "/gone_"))
            kinds = {row["kind"] for row in running.books(submitted).calls.values()}

            forms = (*FORMS, redis_password.encode(), database_password.encode())
            texts = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
            texts |= {"rows": rows_of(url), "messages": "\n".join(wiretap.heard).encode()}
            texts["outputs"] = repr([(finished.out, finished.err) for finished in (*done, broken)]).encode()

    assert [finished.code for finished in done] == [0, 0]
    assert broken.code != 0
    assert kinds >= {"ok", "failed"}
    assert b"convergence.run_calls" in texts["messages"]
    assert b"study.ended" in texts["coordinator-0.log"]
    assert [name for name, text in texts.items() if any(form in text for form in forms)] == []
