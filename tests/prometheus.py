"""A real Prometheus, and promtool, from this environment or from the PATH."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest


def program(name: str) -> str:
    """Return the path of `prometheus` or `promtool`; without it a test is skipped, and fails in CI."""
    beside = Path(sys.prefix) / "prometheus" / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        assert os.environ.get("CI") != "true", f"{name} is expected; make .venv/.prometheus fetches it"
        pytest.skip(f"no {name}; make .venv/.prometheus fetches it")
    return found


@contextmanager
def prometheus(folder: Path, ports: Sequence[int], *, rules: Path | None = None) -> Iterator[str]:
    """Run a Prometheus that reads processes on this machine every second; give its address."""
    port = free_port()
    targets = [f"127.0.0.1:{each}" for each in ports]
    settings = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [] if rules is None else [str(rules)],
        "scrape_configs": [{"job_name": "convergence", "static_configs": [{"targets": targets}]}],
    }
    path = folder / "prometheus.yaml"
    path.write_text(json.dumps(settings), encoding="utf-8")
    words = [
        program("prometheus"),
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    ]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(words, stdout=log, stderr=log) as process:
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def query(address: str, expression: str) -> list[dict[str, Any]]:
    """Return the series that an expression gives now."""
    question = urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(f"{address}/api/v1/query?{question}", timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    return found


def _wait_until_ready(address: str, process: "subprocess.Popen[bytes]") -> None:
    ends_s = time.monotonic() + 30
    while time.monotonic() < ends_s:
        assert process.poll() is None, "prometheus did not start"
        with suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{address}/-/ready", timeout=2).close()
            return
        time.sleep(0.05)
    raise TimeoutError("prometheus was not ready within 30 s")


def free_port() -> int:
    """Return a port of this machine that nobody has."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
