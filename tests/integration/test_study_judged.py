"""Studies whose answers are scored by a model: its money, its failures, its time, its secrets."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from tests.study_runs import Folder, Server, predecessor_study, serving_llm

USD_PER_TOKEN = 1e-4
KEY = "judge-key-canary-5b1f"


class JudgeServer(ThreadingHTTPServer):
    """Grades by what it is sent, the same every time; keeps its own books."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lock = threading.Lock()
        self.keys: list[str | None] = []
        self.n_tokens = 0
        self.status = 200
        self.delay_s = 0.0
        self.content: str | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/chat/completions"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        server = cast("JudgeServer", self.server)
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        n_points = sum(map(ord, text))
        time.sleep(server.delay_s)
        usage = {"prompt_tokens": len(text), "completion_tokens": 20}
        with server.lock:
            server.keys.append(self.headers["Authorization"])
            server.n_tokens += sum(usage.values()) if server.status == 200 else 0
        content = server.content or json.dumps({"reason": "counted", "grade": 1 + n_points % 5})
        message = {"role": "assistant", "content": content}
        error = {"error": {"message": f"no: {self.headers['Authorization']}", "code": "refused"}}
        body: dict[str, Any] = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
        encoded = json.dumps(body if server.status == 200 else error).encode()
        self.send_response(server.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)


@contextmanager
def judging() -> Iterator[JudgeServer]:
    with JudgeServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def judge() -> Iterator[JudgeServer]:
    with judging() as server:
        yield server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "20", "--seed", "3") as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path, environ={"JUDGE_KEY": KEY})


def judged_study(server: Server, judge: JudgeServer, **budget: float) -> dict[str, Any]:
    study = predecessor_study(server)
    return study | {
        "api": study["api"] | {"cache": False},
        "evaluation": {
            "test_cases": study["evaluation"]["test_cases"],
            "metrics": {
                "good": {"type": "llm_judge", "rubric": "Has {{ expected }} in it.", "votes": 2},
                "latency_ms": 0,
            },
            "judge": {
                "endpoint": judge.url,
                "model": "grader",
                "auth": {"type": "bearer", "token_env": "JUDGE_KEY"},
                "parameters": {"max_tokens": 20},
                "prices": {"input_per_million_usd": 1e6 * USD_PER_TOKEN, "output_per_million_usd": 1e6 * USD_PER_TOKEN},
                "max_retries": 1,
                "max_answer_bytes": 1000,
            },
        },
        "budget": {"calls": 40} | budget,
    }


def test_a_judge_is_paid_to_the_cent_and_never_slows_an_answer(
    folder: Folder, server: Server, judge: JudgeServer
) -> None:
    judge.delay_s = 0.2
    folder.write(judged_study(server, judge))

    done = folder.call("optimize", "study.yaml", "-q")

    books = folder.books()
    scoring = [entry for entry in books.ledger if entry["kind"] == "scoring"]
    assert done.code == 0, done.err
    assert len(judge.keys) == 2 * 40
    assert set(judge.keys) == {f"Bearer {KEY}"}
    assert sum(entry["usd"] for entry in scoring) == pytest.approx(judge.n_tokens * USD_PER_TOKEN, abs=1e-6)
    assert {entry["n_attempts"] for entry in scoring} == {0}
    assert books.n_attempts == 40
    assert max(row["metrics"]["latency_ms"] for row in books.calls.values()) < 200
    assert f"${judge.n_tokens * USD_PER_TOKEN:.2f} of it for scoring" in done.out
    assert len({row["metrics"]["good"] for row in books.calls.values()}) > 1


def test_a_second_run_pays_neither_the_api_nor_the_judge(folder: Folder, server: Server, judge: JudgeServer) -> None:
    study = judged_study(server, judge)
    study["api"]["cache"] = True
    study["legacy"] = {"enabled": False}
    study["optimization"]["execution"]["reproducible"] = True
    folder.write(study)
    assert folder.call("optimize", "study.yaml", "-q").code == 0
    first, n_asked, n_sent = folder.books(), len(judge.keys), sum(server.hits().values())

    done = folder.call("optimize", "study.yaml", "-q")

    second = folder.books()
    assert done.code == 0, done.err
    assert n_asked == 2 * 40
    assert (len(judge.keys), sum(server.hits().values())) == (n_asked, n_sent)
    assert second.decisions() == first.decisions()
    assert second.answers() == first.answers()
    assert {entry["kind"] for entry in second.ledger} == {"cached"}
    assert second.n_attempts == 40
    assert second.usd == pytest.approx(first.usd)
    assert "$0.00" in done.out
    assert "40 of the calls answered from the cache, worth $" in done.out


def test_another_judge_pays_for_its_own_grades_only(folder: Folder, server: Server, judge: JudgeServer) -> None:
    study = judged_study(server, judge)
    study["api"]["cache"] = True
    study["legacy"] = {"enabled": False}
    study["optimization"]["execution"]["reproducible"] = True
    folder.write(study)
    assert folder.call("optimize", "study.yaml", "-q").code == 0
    n_asked, n_tokens = len(judge.keys), judge.n_tokens
    study["evaluation"]["judge"]["model"] = "another-grader"
    folder.write(study)

    assert folder.call("optimize", "study.yaml", "-q").code == 0

    books = folder.books()
    paid = sum(entry["usd"] for entry in books.ledger if entry["kind"] == "scoring")
    assert len(judge.keys) == n_asked + 2 * 40
    assert paid == pytest.approx((judge.n_tokens - n_tokens) * USD_PER_TOKEN, abs=1e-6)


def test_a_budget_in_usd_holds_with_a_judge(folder: Folder, server: Server, judge: JudgeServer) -> None:
    folder.write(judged_study(server, judge, calls=400, usd=5.0))

    done = folder.call("optimize", "study.yaml", "-q")

    books = folder.books()
    assert done.code == 0, done.err
    assert books.reason == "budget_usd"
    assert 2.5 < books.usd <= 5.0
    assert sum(e["usd"] for e in books.ledger if e["kind"] == "scoring") == pytest.approx(
        judge.n_tokens * USD_PER_TOKEN
    )


def test_a_judge_without_a_verdict_makes_failed_calls_and_no_zeros(
    folder: Folder, server: Server, judge: JudgeServer
) -> None:
    judge.content = "Good question!"
    folder.write(judged_study(server, judge, calls=12))

    done = folder.call("optimize", "study.yaml", "-q")

    books = folder.books()
    assert done.code == 3, done.out
    assert {row["kind"] for row in books.calls.values()} == {"failed"}
    assert {row["metrics"].get("good") for row in books.calls.values()} == {None}
    assert "judge grader: its reply has no verdict: 'Good question!'" in done.err
    assert books.usd > judge.n_tokens * USD_PER_TOKEN * 0.999


def test_a_judge_with_a_wrong_key_stops_the_study_which_goes_on_later(
    folder: Folder, server: Server, judge: JudgeServer
) -> None:
    judge.status = 401
    folder.write(judged_study(server, judge))

    refused = folder.call("optimize", "study.yaml", "-q")
    judge.status = 200
    resumed = folder.call("resume", "-q")

    written = "".join(path.read_bytes().decode(errors="replace") for path in folder.path.rglob("*") if path.is_file())
    assert refused.code == 1
    assert "the API refuses every further call" in refused.err
    assert "judge grader" in refused.err
    assert resumed.code == 0, resumed.err
    assert len(folder.books().calls) == 40 - refused_attempts(folder)
    assert KEY not in refused.out + refused.err + resumed.out + resumed.err + written


def refused_attempts(folder: Folder) -> int:
    """Count the answers that were paid for, not judged, and so asked for again."""
    books = folder.books()
    return books.n_attempts - len(books.calls)


def test_a_judge_without_a_price_cannot_start_under_a_budget_in_usd(
    folder: Folder, server: Server, judge: JudgeServer
) -> None:
    study = judged_study(server, judge, usd=5.0)
    del study["evaluation"]["judge"]["prices"]
    folder.write(study)

    done = folder.call("optimize", "study.yaml", "-q")

    assert done.code == 2
    assert (
        "evaluation.judge: nothing bounds what scoring costs; give evaluation.judge.prices, and a limit on output in "
        "evaluation.judge.parameters such as max_tokens"
    ) in done.err
    assert judge.keys == []


def test_embeddings_without_a_price_cannot_either(folder: Folder, server: Server, judge: JudgeServer) -> None:
    study = judged_study(server, judge, usd=5.0)
    study["evaluation"]["metrics"]["near"] = {"function": "similar"}
    study["evaluation"]["embeddings"] = {"endpoint": judge.url, "model": "vectors"}
    folder.write(study)

    done = folder.call("validate", "study.yaml")

    assert done.code == 2
    assert "evaluation.embeddings: nothing bounds what scoring costs; give evaluation.embeddings.prices" in done.err


def test_a_judge_needs_its_key_before_anything_is_spent(folder: Folder, server: Server, judge: JudgeServer) -> None:
    keyless = Folder(path=folder.path)
    keyless.write(judged_study(server, judge))

    done = keyless.call("validate", "study.yaml")

    assert done.code == 2
    assert "evaluation.judge.auth.token_env: environment variable JUDGE_KEY is not set" in done.err


def test_a_judge_is_compared_with_people_before_the_search_and_pays_for_it_once(
    folder: Folder, server: Server, judge: JudgeServer
) -> None:
    judge.content = '{"grade": 5}'
    study = judged_study(server, judge, calls=20)
    rows = [{"prompt": f"Question {n}", "answer": "No.", "label": n % 4 != 0} for n in range(8)]
    (folder.path / "labels.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    study["evaluation"]["metrics"]["good"]["labels"] = "labels.jsonl"
    folder.write(study)

    done = folder.call("optimize", "study.yaml", "-q")
    n_asked = len(judge.keys)
    report = folder.call("report", "-o", "again")

    books = folder.books()
    sentence = "good: the judge agrees with 6 of 8 labels on what passes (from 0.5 on), 75 %, kappa 0.00"
    assert done.code == 0, done.err
    assert sentence in done.out
    assert sentence in (folder.path / "results" / "report.md").read_text()
    assert sentence in (folder.path / "again" / "report.md").read_text(), report.err
    assert n_asked == len(judge.keys) == 2 * (8 + 20)
    assert books.n_attempts == 20
    assert server_calls(folder) == 20
    assert books.usd >= judge.n_tokens * USD_PER_TOKEN
    first = [body["block"] if isinstance(body, dict) else body for kind, body in books.events if kind == "asked"][:8]
    assert all("calibration" in str(block) for block in first)


def server_calls(folder: Folder) -> int:
    """Count the calls that went to the API."""
    return sum(row["n_attempts"] for row in folder.books().calls.values())


def test_labels_with_a_mistake_are_named_with_their_line(folder: Folder, server: Server, judge: JudgeServer) -> None:
    study = judged_study(server, judge)
    (folder.path / "labels.csv").write_text("prompt,answer,label\na,b,0.5\nc,d,good\n")
    study["evaluation"]["metrics"]["good"]["labels"] = "labels.csv"
    folder.write(study)

    done = folder.call("validate", "study.yaml")

    assert "labels.csv:3: expected a `label` in [0, 1], true or false, or a `grade` from 1 to 5" in done.err
