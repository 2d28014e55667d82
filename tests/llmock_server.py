"""PyPI `llmock`, a server that speaks the dialects of several vendors and judges how its clients take faults."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

LLMOCK = shutil.which("llmock", path=str(Path(sys.executable).parent))


@dataclass(frozen=True, kw_only=True)
class Mock:
    """The running server."""

    url: str

    def post(self, path: str, **document: Any) -> None:
        request = urllib.request.Request(
            f"{self.url}/_llmock/{path}", json.dumps(document).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).close()

    def plan(self, *behaviors: Any) -> None:
        self.post("scenario", behaviors=list(behaviors))

    def report(self) -> subprocess.CompletedProcess[str]:
        assert LLMOCK is not None
        command = [LLMOCK, "report", "--strict", "--url", self.url]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def verdict(self) -> Any:
        with urllib.request.urlopen(f"{self.url}/_llmock/verdict", timeout=10) as answer:
            return json.load(answer)


@contextmanager
def llmock_server() -> Iterator[Mock]:
    """Start the server on a free port."""
    if LLMOCK is None:
        assert not os.environ.get("CI"), "llmock is in the dev group and should be installed"
        pytest.skip("llmock is not installed (it is in the dev group)")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [LLMOCK, "serve", "-p", str(port), "--response-style", "echo", "--log-level", "warning"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _await_start(f"http://127.0.0.1:{port}/_llmock/verdict", process)
            yield Mock(url=f"http://127.0.0.1:{port}")
        finally:
            process.terminate()


def _await_start(url: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, "llmock ended before it served"
            time.sleep(0.05)
        else:
            return
    raise AssertionError("llmock did not start")
