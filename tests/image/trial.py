"""The built root, tried out as the unprivileged user on a read-only file system: real processes, a real study."""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.image.dockerfile import Stage
from tests.prometheus import free_port
from tests.redis_server import redis_server
from tests.study_runs import EVALUATOR, predecessor_study, serving_llm, wait_until

PASSWORD = "rehearsal"
CHROOT = shutil.which("chroot") or "/usr/sbin/chroot"
_FORBIDDEN = ("gcc", "cc", "make", "git", "pip", "pip3", "uv", "curl", "wget")


class Inside:
    """Runs commands as the image would: its user, environment and folder, its root read-only, /tmp writable."""

    def __init__(self, root: Path, stage: Stage, variables: Mapping[str, str]) -> None:
        self._root = root
        user, workdir = stage.last("USER"), stage.last("WORKDIR")
        assert user is not None
        assert workdir is not None
        self._user, self._workdir = user.text, workdir.text
        self._environ = {**stage.environment(), **variables}

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """Start a command; its process takes the place of every helper, as in a container."""
        line = 'cd "$0" && exec "$@"'
        chroot = [CHROOT, f"--userspec={self._user}", str(self._root), "/bin/sh", "-c", line, self._workdir]
        return subprocess.Popen(
            [*chroot, *words], env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self, *words: str) -> tuple[int, str]:
        """Run a command to its end; return its code and what it printed."""
        process = self.start(*words)
        out, _ = process.communicate(timeout=120)
        return process.returncode, out.strip()


def try_out(root: Path, stage: Stage) -> int:
    """Print a line a check; return 1 if one fails."""
    with (
        _ready(root),
        redis_server(password=PASSWORD) as broker,
        serving_llm("--landscape", "predecessor", "--latency-ms", "150", "--seed", "3") as server,
    ):
        variables = {"CONVERGENCE_BROKER_URL": broker.url, "CONVERGENCE_FLOWER_PASSWORD": PASSWORD}
        inside = Inside(root, stage, variables)
        study = predecessor_study(server, parallel_workers=8) | {"output": {"save_path": "/tmp/results"}}
        (root / "tmp" / "study.yaml").write_text(json.dumps(study), encoding="utf-8")
        (root / "tmp" / "evaluator.py").write_text(EVALUATOR, encoding="utf-8")
        code = 0
        for name, check in _checks(inside, stage):
            try:
                said = check()
            except Exception as error:  # noqa: BLE001 - the next check may still say something
                said, code = f"FAILED: {type(error).__name__}: {error}", 1
            sys.stdout.write(f"{name:44} {said}\n")
        return code


@contextmanager
def _ready(root: Path) -> Iterator[None]:
    """Give the root what a container has: /proc, /dev, /tmp."""
    for name, kind in (("proc", "proc"), ("dev", "devtmpfs"), ("tmp", "tmpfs")):
        subprocess.run(["mount", "-t", kind, kind, str(root / name)], check=True)
    (root / "tmp").chmod(0o1777)
    yield


def _checks(inside: Inside, stage: Stage) -> Iterator[tuple[str, Callable[[], str]]]:
    entry, health = stage.last("ENTRYPOINT"), stage.last("HEALTHCHECK")
    assert entry is not None
    assert health is not None
    command = entry.words()
    probe = json.loads(health.text.partition("CMD ")[2])

    def says(*words: str) -> str:
        code, out = inside.run(*words)
        assert code == 0, out
        return out.splitlines()[-1]

    def nothing_builds() -> str:
        found = [tool for tool in _FORBIDDEN if inside.run("sh", "-c", f"command -v {tool}")[0] == 0]
        assert found == [], found
        return "no " + ", ".join(_FORBIDDEN)

    def nothing_is_writable() -> str:
        code, _ = inside.run("sh", "-c", "touch /home/convergence/x /opt/convergence/x /x")
        assert code != 0
        return "only /tmp can be written to"

    yield "runs as", lambda: says("id")
    yield "version", lambda: says(*command, "--version")
    yield "imports", lambda: says("python", "-c", "import celery, flower, psycopg, opentelemetry.sdk; print('all')")
    yield "nothing that builds", nothing_builds
    yield "nothing is writable", nothing_is_writable
    yield "Flower, behind its password", lambda: _look_at_flower(inside, command)
    yield "a study on coordinator and worker", lambda: _run_study(inside, command, probe)


def _look_at_flower(inside: Inside, command: list[str]) -> str:
    port = free_port()
    process = inside.start(*command, "flower", "--address", "127.0.0.1", "--port", str(port))
    address = f"http://127.0.0.1:{port}/api/workers"
    try:
        wait_until(lambda: _status(address) is not None, timeout_s=30)
        statuses = _status(address), _status(address, f"convergence:{PASSWORD}")
        assert statuses == (401, 200), statuses
        return "401 without it, 200 with it"
    finally:
        process.terminate()
        process.wait(20)


def _status(address: str, login: str | None = None) -> int | None:
    """Return what a server answers, or None while nobody listens."""
    request = urllib.request.Request(address)
    if login is not None:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError:
        return None


def _run_study(inside: Inside, command: list[str], probe: list[str]) -> str:
    began_s = time.monotonic()
    processes = [inside.start(*command, "coordinate"), inside.start(*command, "worker", "--concurrency", "16")]
    try:
        wait_until(lambda: inside.run(*probe)[0] == 0, timeout_s=30)
        code, out = inside.run(*command, "submit", "/tmp/study.yaml")
        assert code == 0, out
        best = next(line.strip() for line in out.splitlines() if "Best config" in line)
        for process in processes:
            process.send_signal(signal.SIGTERM)
        ended = [process.wait(20) for process in processes]
        assert ended == [0, 0], ended
        return f"{best}; SIGTERM ended both with 0; {time.monotonic() - began_s:.1f} s"
    finally:
        for process in processes:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
