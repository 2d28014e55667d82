"""Studies as processes: a sandbox server, a folder with a study file, the command line, and what the database says."""

import json
import multiprocessing
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import yaml

from convergence_cluster.cli import main
from convergence_cluster.sandbox.landscapes import landscape
from convergence_cluster.sandbox.questions import as_test_cases
from convergence_cluster.storage.database import open_database
from convergence_cluster.storage.encoding import parse_all

ROOT = Path(__file__).parents[1]
KEPT_VARIABLES = ("PATH", "LANG", "TMPDIR")
_PRELOADED = (
    "convergence_cluster.commands.optimize",
    "convergence_cluster.bootstrap.coordinator_process",
    "convergence_cluster.bootstrap.worker_runtime",
    "celery.bin.worker",
    "celery.concurrency.thread",
    "celery.worker.worker",
    "tests.study_runs",
)

EVALUATOR = """
def score_response(result, expected, params, metric=None):
    return result["x_quality"]
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running sandbox `llm`, with the books it keeps itself."""

    ready: Mapping[str, Any]

    @property
    def endpoint(self) -> str:
        return str(self.ready["endpoint"])

    def books(self) -> Any:
        return json.loads(self._ask("/_sandbox/stats"))

    def hits(self) -> Mapping[tuple[str, int, int, int], int]:
        """Attempts by study, arm, case and repeat."""
        return {_call_of(key): count for key, count in self.books()["hits"].items()}

    def faults(self, **switches: object) -> None:
        self._ask("/_sandbox/faults", json.dumps(switches).encode())

    def reset(self) -> None:
        self._ask("/_sandbox/reset", b"{}")

    def _ask(self, path: str, content: bytes | None = None) -> bytes:
        with urllib.request.urlopen(f"{self.ready['url']}{path}", content, timeout=20) as answer:
            return bytes(answer.read())


@contextmanager
def serving_llm(*arguments: str) -> Iterator[Server]:
    """Run the sandbox `llm` on a free port until the block ends."""
    command = [sys.executable, "-m", "convergence_cluster.sandbox.serve", "llm", "--port", "0", "--until-eof"]
    with subprocess.Popen(
        [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Server(ready=json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(20)


def predecessor_study(server: Server, **execution: object) -> dict[str, Any]:
    """Return a study of the landscape of 320 configurations and 4 cases, scored by the grade in each answer."""
    found = landscape("predecessor")
    return {
        "api": {
            "name": "crash-test",
            "provider": "openai",
            "endpoint": server.endpoint,
            "auth": {"type": "none"},
            "prices": server.ready["prices"],
        },
        "search_space": {"parameters": {name: list(values) for name, values in found.parameters().items()}},
        "evaluation": {
            "test_cases": as_test_cases(found.questions),
            "metrics": {"quality": {"weight": 1.0, "type": "higher_is_better", "function": "custom"}},
            "custom_evaluator": {"module": "evaluator", "function": "score_response"},
        },
        "optimization": {"execution": {"early_stopping": {"enabled": False}, **execution}, "seed": 7},
        "budget": {"calls": 200},
        "output": {"save_path": "./results"},
    }


@dataclass(frozen=True, kw_only=True)
class Finished:
    """How a process ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """Its output as one JSON value a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True, kw_only=True)
class Books:
    """What the database says of one study."""

    state: str
    reason: str | None
    events: tuple[tuple[str, Any], ...]
    calls: Mapping[tuple[str, int, int, int], Mapping[str, Any]]
    """By study, arm, case and repeat."""
    ledger: tuple[Mapping[str, Any], ...]

    @property
    def n_attempts(self) -> int:
        return sum(entry["n_attempts"] for entry in self.ledger)

    @property
    def usd(self) -> float:
        return sum(entry["usd"] or 0.0 for entry in self.ledger)

    def decisions(self) -> list[tuple[str, Any]]:
        """What was asked, told and calibrated, without where one sitting ended and the next began."""
        return [event for event in self.events if event[0] not in {"resumed", "sat", "stopped"}]

    def answers(self) -> Mapping[tuple[int, int, int], tuple[object, ...]]:
        """What each call brought, without what differs between two runs: times and the study's id."""
        return {key[1:]: (row["kind"], row["metrics"], row["cost_usd"]) for key, row in self.calls.items()}


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder in which studies run, with an environment of its own."""

    path: Path
    environ: Mapping[str, str] = field(default_factory=dict)

    def with_variables(self, variables: Mapping[str, str]) -> "Folder":
        """Return the same folder with further variables in its environment."""
        return replace(self, environ={**self.environ, **variables})

    def write(self, study: Mapping[str, Any], name: str = "study.yaml", *, evaluator: str = EVALUATOR) -> Path:
        """Write a study file and the evaluator beside it."""
        (self.path / "evaluator.py").write_text(evaluator)
        path = self.path / name
        path.write_text(yaml.safe_dump(dict(study), sort_keys=False))
        return path

    def run(self, *words: str, **variables: str) -> Finished:
        """Run the command line to its end."""
        done = subprocess.run(
            _command(words),
            cwd=self.path,
            env=self.environment(variables),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Finished(code=done.returncode, out=done.stdout, err=done.stderr)

    def start(self, *words: str, log: Path | None = None, **variables: str) -> "subprocess.Popen[str]":
        """Start the command line in a process group of its own; the caller ends it."""
        with nullcontext(subprocess.PIPE) if log is None else log.open("a") as out:
            return subprocess.Popen(
                _command(words),
                cwd=self.path,
                env=self.environment(variables),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.PIPE if log is None else subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def fork(
        self,
        *words: str,
        out: str = "output.txt",
        err: str = "output.txt",
        variables: Mapping[str, str] | None = None,
        before: Callable[[], object] | None = None,
    ) -> BaseProcess:
        """Start the command line in a process that has its imports behind it: a tenth of a second instead of two.

        It leads a process group of its own. `before` is called in it first; the server of forks must be able to import
        it.
        """
        context = multiprocessing.get_context("forkserver")
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the program does, which comes after numpy here
        context.set_forkserver_preload(list(_PRELOADED))
        outputs = (self.path / out, self.path / err)
        environ = self.environment(variables)
        process = context.Process(target=_run_here, args=(words, self.path, environ, outputs, before))
        process.start()
        return process

    def call(self, *words: str, **variables: str) -> Finished:
        """Run the command line to its end, as `fork` does."""
        files = (self.path / "stdout.txt", self.path / "stderr.txt")
        process = self.fork(*words, out=files[0].name, err=files[1].name, variables=variables)
        process.join(60)
        assert process.exitcode is not None, "it hangs"
        out, err = (file.read_text() for file in files)
        for file in files:
            file.unlink()
        return Finished(code=process.exitcode, out=out, err=err)

    def books(self, *, url: str | None = None, number: int = -1, study: str | None = None) -> Books:
        """Return what the database holds of a study; by default of the newest."""
        database = open_database(url or f"sqlite:///{self.path}/.convergence/convergence.db")
        mark = database.placeholder
        try:
            with database.read() as connection:
                query = connection.exec_driver_sql
                found = query("SELECT id, state, reason FROM convergence_studies ORDER BY created_at_s").all()
                rows = found if study is None else [row for row in found if row[0] == study]
                study, state, reason = rows[number]
                only = f"WHERE study = {mark}"
                events = query(f"SELECT kind, body FROM convergence_events {only} ORDER BY seq", (study,)).all()
                calls = query(f"SELECT * FROM convergence_calls {only} ORDER BY id", (study,)).mappings().all()
                ledger = query(f"SELECT * FROM convergence_ledger {only} ORDER BY id", (study,)).mappings().all()
        finally:
            database.close()
        return Books(
            state=state,
            reason=reason,
            events=tuple((kind, json.loads(body)) for kind, body in events),
            calls={(study, row["arm"], row["case_index"], row["repeat"]): _call(dict(row)) for row in calls},
            ledger=tuple(dict(row) for row in ledger),
        )

    def best_config(self, folder: str = "results") -> Any:
        return json.loads((self.path / folder / "best_config.json").read_text())["config"]

    def environment(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        return {**kept, "HOME": str(self.path), "PYTHONPATH": str(ROOT), **self.environ, **(variables or {})}


def wait_until(condition: Callable[[], object], *, timeout_s: float = 30.0, every_s: float = 0.01) -> None:
    """Return as soon as a condition holds.

    Raises:
        TimeoutError: it does not within `timeout_s` seconds.
    """
    give_up_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > give_up_s:
            raise TimeoutError(f"nothing happened within {timeout_s:g} s")
        time.sleep(every_s)


def _command(words: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "convergence_cluster.cli", *words]


def _run_here(
    words: tuple[str, ...],
    folder: Path,
    environ: Mapping[str, str],
    outputs: tuple[Path, Path],
    before: Callable[[], object] | None,
) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    for number, path in enumerate(outputs, start=1):
        with path.open("a") as stream:
            os.dup2(stream.fileno(), number)
    if before is not None:
        before()
    sys.exit(main(words))


def _call(row: Mapping[str, Any]) -> Mapping[str, Any]:
    (detail,) = parse_all([row["detail"]])
    return {"metrics": {}, **row, **detail}


def _call_of(key: str) -> tuple[str, int, int, int]:
    study, arm, case, repeat = key.split(":")
    return study, int(arm), int(case), int(repeat)
