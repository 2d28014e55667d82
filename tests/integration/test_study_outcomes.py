"""What an API does to its clients, and what a study makes of it: the kind of each outcome, and how the study ends."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from tests.study_runs import Books, Folder, Server, predecessor_study, serving_llm

CALM: dict[str, object] = {
    **dict.fromkeys(
        ("rate_limited", "overloaded", "server_error", "cut", "malformed", "refused", "unauthorized", "slow"), 0.0
    ),
    "first_attempts": 0,
    "infeasible": [],
}


@pytest.fixture(scope="module")
def any_server() -> Iterator[Server]:
    arguments = ("--latency-ms", "10", "--seed", "3", "--retry-after-s", "0.3", "--slow-s", "5")
    with serving_llm("--landscape", "predecessor", *arguments) as started:
        yield started


@pytest.fixture
def server(any_server: Server) -> Server:
    any_server.reset()
    any_server.faults(**CALM)
    return any_server


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path)


def run(folder: Folder, study: dict[str, Any], *, code: int = 0) -> Books:
    folder.write(study | {"budget": {"calls": 100}})
    process = folder.fork("optimize", "study.yaml")
    process.join(60)
    assert process.exitcode == code, output_of(folder)
    return folder.books()


def small_study(server: Server) -> dict[str, Any]:
    """Return a study of 8 configurations that ends before its budget does."""
    study = predecessor_study(server, parallel_workers=16, max_repeats=1)
    parameters = {"model": ["sim-small", "sim-medium"], "temperature": [0.1, 0.3, 0.5, 0.7], "max_tokens": [512]}
    study["search_space"]["parameters"] = parameters
    return study


def output_of(folder: Folder) -> str:
    return (folder.path / "output.txt").read_text()


def kinds(books: Books) -> Counter[str]:
    return Counter(row["kind"] for row in books.calls.values())


def test_a_wish_to_wait_is_obeyed_and_counted_apart_from_latency(folder: Folder, server: Server) -> None:
    server.faults(rate_limited=0.2, first_attempts=1)

    books = run(folder, small_study(server))

    retried = [row for row in books.calls.values() if row["n_attempts"] > 1]
    assert kinds(books) == {"ok": 32}
    assert len(retried) > 2
    assert all(row["waited_s"] >= 0.3 for row in retried)
    assert fmean(row["latency_s"] for row in retried) < 0.1
    assert all(row["cost_usd"] < row["reserved_usd"] for row in retried)


@pytest.mark.parametrize("fault", ["overloaded", "server_error", "cut", "malformed"])
def test_a_passing_failure_is_repeated_and_leaves_no_trace_in_the_score(
    folder: Folder, server: Server, fault: str
) -> None:
    server.faults(**{fault: 0.3, "first_attempts": 1})

    books = run(folder, small_study(server))

    assert books.reason == "exhausted"
    assert kinds(books) == {"ok": 32}
    assert {row["n_attempts"] for row in books.calls.values()} == {1, 2}
    assert books.n_attempts == server.books()["requests"] > 32


@pytest.mark.parametrize("fault", ["rate_limited", "server_error", "cut", "malformed", "slow"])
def test_a_call_that_fails_for_good_has_no_score_and_is_no_score_of_0(
    folder: Folder, server: Server, fault: str
) -> None:
    server.faults(**{fault: 0.2})
    study = predecessor_study(server, parallel_workers=8, max_retries=0)
    study["api"]["request"] = {"timeout_seconds": 0.3}

    books = run(folder, study)

    failed = [row for row in books.calls.values() if row["kind"] == "failed"]
    assert kinds(books).keys() == {"ok", "failed"}
    assert 5 < len(failed) < 45
    assert all(row["metrics"] == {} and row["error"] for row in failed)
    is_billed = fault in {"cut", "malformed", "slow"}
    assert all(row["cost_usd"] == (row["reserved_usd"] if is_billed else 0.0) for row in failed)
    assert f"{len(failed)} failed" in output_of(folder)


def test_a_refusal_is_told_apart_from_a_failure(folder: Folder, server: Server) -> None:
    server.faults(refused=0.2)

    books = run(folder, predecessor_study(server, parallel_workers=8))

    refused = [row for row in books.calls.values() if row["kind"] == "refused"]
    assert kinds(books).keys() == {"ok", "refused"}
    assert len(refused) > 5
    assert all(0.0 < row["cost_usd"] < row["reserved_usd"] for row in refused)


def test_a_model_that_does_not_exist_is_left_out_and_the_rest_is_searched(folder: Folder, server: Server) -> None:
    study = predecessor_study(server, parallel_workers=8)
    study["search_space"]["parameters"]["model"] = ["sim-imaginary", "sim-small", "sim-medium"]
    study["api"]["prices"] = {"*": {"input_per_million_usd": 1.0, "output_per_million_usd": 1.0}}

    books = run(folder, study)

    assert kinds(books).keys() == {"ok", "infeasible"}
    assert all("model_not_found" in row["error"] or "sim-imaginary" in row["error"] for row in _infeasible(books))
    assert folder.best_config()["model"] != "sim-imaginary"


def test_a_parameter_that_no_request_may_have_ends_without_an_answer(folder: Folder, server: Server) -> None:
    server.faults(infeasible=["temperature"])
    study = predecessor_study(server, parallel_workers=8)
    study["search_space"]["parameters"] = {"model": ["sim-small", "sim-medium"], "temperature": [0.0, 0.5]}

    books = run(folder, study, code=3)

    assert books.reason == "no_feasible"
    assert kinds(books).keys() == {"infeasible"}
    assert "no configuration could be run" in output_of(folder)


def test_a_wrong_key_stops_the_study_at_once(folder: Folder, server: Server) -> None:
    server.faults(unauthorized=1.0)

    books = run(folder, predecessor_study(server, parallel_workers=8), code=1)

    assert books.calls == {}
    assert server.books()["requests"] <= 8  # those that were on the wire
    assert "error: the API refuses every further call: POST 127.0.0.1/v1/chat/completions: HTTP 401" in output_of(
        folder
    )
    assert (books.state, books.reason) == ("interrupted", "provider")


def test_an_api_that_is_away_stops_the_study_before_the_budget_is_wasted(folder: Folder, server: Server) -> None:
    server.faults(server_error=1.0)

    books = run(folder, predecessor_study(server, parallel_workers=4, max_retries=0), code=1)

    assert books.calls == {}
    assert books.n_attempts == server.books()["requests"]
    assert 20 <= books.n_attempts < 40
    assert "HTTP 500: The simulated server had an error." in output_of(folder)


def _infeasible(books: Books) -> list[Any]:
    return [row for row in books.calls.values() if row["kind"] == "infeasible"]
