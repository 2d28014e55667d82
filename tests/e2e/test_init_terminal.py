"""`convergence init` at a real terminal: a person types, and what is written runs."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.study_runs import KEPT_VARIABLES, ROOT

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Typist:
    """A process at a terminal of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        environ = {**kept, "HOME": str(folder), "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100"}
        self._ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "convergence_cluster.cli", *words]
        self.process = subprocess.Popen(command, cwd=folder, env=environ, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.shown = ""

    def wait_for(self, text: str, timeout_s: float = 30.0) -> None:
        """Read on until a text is shown."""
        ends_s = time.monotonic() + timeout_s
        while text not in _ESCAPES.sub("", self.shown):
            assert time.monotonic() < ends_s, f"{text!r} did not come:\n{self.shown}"
            if select.select([self._ours], [], [], 0.2)[0]:
                self.shown += self._read()

    def type(self, text: str) -> None:
        """Type a line."""
        os.write(self._ours, f"{text}\n".encode())

    def answer(self, question: str, text: str) -> None:
        """Wait for a question and answer it."""
        self.wait_for(question)
        self.shown = ""
        self.type(text)

    def end(self) -> int:
        """Return the exit code."""
        code = self.process.wait(30)
        os.close(self._ours)
        return code

    def _read(self) -> str:
        try:
            return os.read(self._ours, 65536).decode()
        except OSError:  # the other end is closed
            return ""


@pytest.fixture
def person(tmp_path: Path) -> Iterator[Typist]:
    typist = Typist(tmp_path, "init")
    yield typist
    if typist.process.poll() is None:
        typist.process.kill()
        typist.process.wait()


def test_a_person_answers_and_the_study_runs(person: Typist, tmp_path: Path) -> None:
    person.answer("What do you want to tune?", "quickstart")
    person.answer("What shall the study be called?", "first")
    person.answer("What counts most?", "quality")
    person.answer("How many calls at most?", "60")
    person.answer("How many calls at once?", "")
    person.answer("Which folder?", "")
    person.wait_for("convergence optimize first/study.yaml")

    assert person.end() == 0
    words = [sys.executable, "-m", "convergence_cluster.cli", "optimize", "first/study.yaml", "--quiet"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Best config" in done.stdout


def test_ctrl_c_leaves_nothing_behind(person: Typist, tmp_path: Path) -> None:
    person.answer("What do you want to tune?", "openai")
    person.wait_for("What shall the study be called?")
    person.process.send_signal(signal.SIGINT)

    assert person.end() == 130
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
