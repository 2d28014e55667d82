"""Apify, Firecrawl and Browserbase as their references describe them, on one local port, with books of it all."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Seen:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


class Automation:
    """What runs at the three vendors, and how it shall behave."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.url = ""
        self.run_status = "SUCCEEDED"
        self.n_polls = 1
        self.connect_url: str | None = None
        """Of a browser for every session."""
        self.text_of: Callable[[str, Mapping[str, Any]], str] = lambda url, _: f"text of {url}"
        """Of a page, by the settings that it was read with."""
        self.refusal: tuple[int, Any] | None = None
        """The answer to whatever comes next."""
        self.session_status = "RUNNING"
        self._n_left: dict[str, int] = {}
        self._inputs: dict[str, Any] = {}
        self._released: set[str] = set()
        self._lock = threading.Lock()

    def did(self) -> list[str]:
        return [f"{seen.method} {seen.path}" for seen in self.seen]

    @property
    def n_open(self) -> int:
        """Browser sessions that nobody released."""
        return sum(seen.method == "POST" and seen.path == "/v1/sessions" for seen in self.seen) - len(self._released)

    def answer(self, seen: Seen) -> tuple[int, Any]:
        with self._lock:
            self.seen.append(seen)
            if self.refusal is not None:
                refusal, self.refusal = self.refusal, None
                return refusal
            if seen.path.startswith("/v1/"):
                return self._browserbase(seen)
            if any(part in seen.path for part in ("/acts/", "/actor-runs/", "/datasets/")):
                return self._apify(seen)
            return self._firecrawl(seen)

    def _apify(self, seen: Seen) -> tuple[int, Any]:
        parts = seen.path.split("/")
        if parts[2] == "acts":
            run = f"run{len(self._n_left)}"
            self._inputs[f"d-{run}"] = seen.body
            self._n_left[run] = self.n_polls
            return 201, {"data": {"id": run, "status": "READY", "defaultDatasetId": f"d-{run}"}}
        if parts[2] == "datasets":
            given = self._inputs[parts[3]]
            urls = [each["url"] if isinstance(each, dict) else each for each in given.get("startUrls", [])]
            return 200, [{"url": url, "text": self.text_of(url, given)} for url in urls]
        run = parts[3]
        if parts[-1] == "abort":
            return 200, {"data": {"id": run, "status": "ABORTED"}}
        self._n_left[run] -= 1
        status = "RUNNING" if self._n_left[run] > 0 else self.run_status
        document = {"id": run, "status": status, "usageTotalUsd": 0.0042, "defaultDatasetId": f"d-{run}"}
        return 200, {"data": document}

    def _firecrawl(self, seen: Seen) -> tuple[int, Any]:
        if seen.path.endswith("/scrape") and seen.method == "POST":
            url = seen.body["url"]
            if "missing" in url:
                return 200, {"success": False, "error": "The page does not exist"}
            metadata = {"statusCode": 200, "sourceURL": url, "creditsUsed": 5 if seen.body.get("proxy") else 1}
            return 200, {"success": True, "data": {"markdown": self.text_of(url, seen.body), "metadata": metadata}}
        if seen.method == "POST":
            self._n_left["crawl"] = self.n_polls
            return 200, {"success": True, "id": "crawl", "url": f"{self.url}{seen.path}/crawl"}
        if seen.method == "DELETE":
            return 200, {"status": "cancelled"}
        self._n_left["crawl"] -= 1
        pages = [{"markdown": "one"}, {"markdown": "two"}]
        if self._n_left["crawl"] > 0:
            return 200, {"success": True, "status": "scraping", "total": 2, "completed": 0, "data": []}
        return 200, {"success": True, "status": "completed", "total": 2, "creditsUsed": 2, "data": pages}

    def _browserbase(self, seen: Seen) -> tuple[int, Any]:
        if seen.path == "/v1/fetch":
            return 200, {"content": f"fetched {seen.body['url']}", "statusCode": 200}
        parts = seen.path.split("/")
        if len(parts) == 3:
            session = f"s{len(self._n_left)}"
            self._n_left[session] = self.n_polls
            return 201, self._session(session, "PENDING" if self.n_polls > 1 else self.session_status)
        session = parts[3]
        if seen.method == "POST":
            self._released.add(session)
            return 200, self._session(session, "RUNNING")
        if session in self._released:
            ended = {"endedAt": (BEGAN + timedelta(seconds=90)).isoformat().replace("+00:00", "Z")}
            return 200, {**self._session(session, "COMPLETED"), **ended, "proxyBytes": 2_000_000}
        self._n_left[session] -= 1
        return 200, self._session(session, "PENDING" if self._n_left[session] > 1 else self.session_status)

    def _session(self, session: str, status: str) -> dict[str, Any]:
        return {
            "id": session,
            "projectId": "p1",
            "status": status,
            "connectUrl": self.connect_url,
            "signingKey": "signing-secret",
            "startedAt": BEGAN.isoformat().replace("+00:00", "Z"),
            "proxyBytes": 0,
            "region": "us-west-2",
        }


@contextmanager
def automation_server() -> Iterator[Automation]:
    automation = Automation()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", "0")))
            parts = urlsplit(self.path)
            seen = Seen(
                method=self.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=json.loads(raw) if raw else None,
            )
            status, document = automation.answer(seen)
            payload = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = _do  # noqa: N815 - the interface of http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the interface of http.server
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        automation.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield automation
        finally:
            running.shutdown()
