"""A real server that runs jobs: each takes some polls, can fail on request, and is gone once it was deleted."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Jobs:
    """What the server knows, and how it shall behave."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.polls_left: dict[str, int] = {}
        self.n_polls = 2
        self.end: dict[str, Any] = {"state": "done"}
        self.result: Any = {"text": "converted", "seconds": 1.5}
        self.poll_statuses: list[int] = []
        """Statuses of the next polls, before they answer as they should."""
        self.url = ""
        self.cleanup: tuple[int, Any] | None = None
        """The answer to a cleanup; a text is sent as it is."""
        self.cleanup_statuses: list[int] = []
        """Statuses of the next cleanups, before they answer as they should."""
        self.takes_s = 0.0
        """How long a job takes, beside its polls."""
        self.is_terse = False
        """Whether a submission is answered by a header alone."""
        self._began_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def requests(self) -> list[str]:
        return [f"{method} {path}" for method, path, _, _ in self.seen]

    def answer(self, method: str, path: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        with self._lock:
            self.seen.append((method, path, headers, body))
            _, _, *rest = path.partition("?")[0].split("/")
            if method == "POST" and not rest:
                job = f"j{len(self.polls_left)}"
                self.polls_left[job] = self.n_polls
                self._began_s[job] = time.monotonic()
                if self.is_terse:
                    return 202, None
                return 202, {"id": job, "links": {"self": f"{self.url}/jobs/{job}"}}
            job, *part = rest
            if method == "GET" and not part:
                return self._poll(job)
            if method == "GET":
                return 200, self.result
            if method == "DELETE" and self.cleanup_statuses:
                return self.cleanup_statuses.pop(0), {"error": "busy"}
            return self.cleanup or (200, {"id": job, "billed_seconds": 1.5})

    def _poll(self, job: str) -> tuple[int, Any]:
        if self.poll_statuses:
            return self.poll_statuses.pop(0), {"error": "busy"}
        if time.monotonic() - self._began_s.get(job, 0.0) < self.takes_s:
            return 200, {"id": job, "state": "running"}
        self.polls_left[job] -= 1
        return (200, {"id": job, "state": "running"}) if self.polls_left[job] > 0 else (200, {"id": job, **self.end})


@contextmanager
def job_server() -> Iterator[Jobs]:
    jobs = Jobs()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, document = jobs.answer(self.command, self.path, headers, json.loads(raw) if raw else None)
            payload = document.encode() if isinstance(document, str) else json.dumps(document).encode()
            payload = b"" if document is None else payload
            self.send_response(status)
            if document is None:
                self.send_header("Operation-Location", f"{jobs.url}/jobs/j{len(jobs.polls_left) - 1}?api-version=7")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = do_PUT = _do  # noqa: N815 - the interface of http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the interface of http.server
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        jobs.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield jobs
        finally:
            running.shutdown()
