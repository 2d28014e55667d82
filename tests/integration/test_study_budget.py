"""Budgets against the server's own books: hard under parallel workers, retries and faults."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.study_runs import Books, Folder, Server, predecessor_study, serving_llm

STORM = {"rate_limited": 0.05, "overloaded": 0.05, "server_error": 0.05, "cut": 0.05, "malformed": 0.05}
N_SEARCHED = 2
CALM = dict.fromkeys(STORM, 0.0) | {"no_money": 0.0}


@pytest.fixture(scope="module")
def any_server() -> Iterator[Server]:
    with serving_llm(
        "--landscape", "predecessor", "--latency-ms", "20", "--seed", "3", "--retry-after-s", "0.05"
    ) as started:
        yield started


@pytest.fixture
def server(any_server: Server) -> Server:
    any_server.reset()
    any_server.faults(**CALM)
    return any_server


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path)


def run(folder: Folder, study: dict[str, Any], *words: str) -> Books:
    """Run a study to its end in a process that is quick to start."""
    folder.write(study)
    process = folder.fork(*(words or ("optimize", "study.yaml")))
    process.join(60)
    assert process.exitcode == 0, (folder.path / "output.txt").read_text()
    return folder.books()


def test_a_budget_of_calls_holds_with_64_workers_retries_and_faults(folder: Folder, server: Server) -> None:
    server.faults(**STORM)
    study = predecessor_study(server, parallel_workers=64) | {"budget": {"calls": 400}}

    books = run(folder, study)

    seen = server.books()
    assert books.reason == "budget_calls"
    assert seen["requests"] == books.n_attempts == 400
    assert {key: row["n_attempts"] for key, row in books.calls.items()} == server.hits()
    assert max(server.hits().values()) > 1
    assert {"429", "503", "500"} < seen["statuses"].keys()


def test_a_budget_in_usd_holds_with_64_workers_retries_and_faults(folder: Folder, server: Server) -> None:
    server.faults(**STORM)
    study = predecessor_study(server, parallel_workers=64) | {"budget": {"usd": 0.25, "calls": 10_000}}

    books = run(folder, study)

    billed_usd = server.books()["usd"]
    assert books.reason == "budget_usd"
    assert 0.1 < billed_usd <= books.usd <= 0.25
    assert books.n_attempts == server.books()["requests"]
    lost = [row for row in books.calls.values() if row.get("price_source") == "reserved maximum"]
    assert all(row["cost_usd"] >= row["reserved_usd"] for row in lost)


@pytest.mark.alone
def test_a_budget_in_minutes_stops_the_study(folder: Folder, server: Server) -> None:
    study = predecessor_study(server, parallel_workers=2) | {"budget": {"minutes": 0.03, "calls": 100_000}}
    began_s = time.monotonic()

    books = run(folder, study)

    times_s = [row["finished_at_s"] for row in books.calls.values()]
    assert books.reason == "budget_time"
    assert max(times_s) - min(times_s) < 0.03 * 60 + 0.5
    assert time.monotonic() - began_s < 20
    assert len(books.calls) > 20


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        ({"calls": 60}, "budget_calls"),
        ({"usd": 0.02, "calls": 10_000}, "budget_usd"),
        pytest.param({"minutes": 0.05, "calls": 100_000}, "budget_time", marks=pytest.mark.alone),
    ],
)
def test_whichever_cap_ends_the_search_the_holdout_is_compared(
    folder: Folder, server: Server, budget: dict[str, float], reason: str
) -> None:
    books = run(folder, with_holdout(server) | {"budget": budget})

    asked = [
        (body[0], case) for kind, body in books.events if kind == "asked" for case in body[1] if case >= N_SEARCHED
    ]
    assert books.reason == reason
    assert {case for _, case in asked} == {2, 3}
    assert {key[1:3] for key in books.calls if key[2] >= N_SEARCHED} == set(asked)
    assert "Holdout: " in (folder.path / "output.txt").read_text()


def test_a_holdout_that_there_was_no_room_for_is_said_to_be_missing(folder: Folder, server: Server) -> None:
    run(folder, with_holdout(server) | {"budget": {"calls": 1}})

    written = (folder.path / "output.txt").read_text()
    assert "Holdout: " not in written
    assert "the cases kept from the search say nothing: the call cap was reached before a call on them" in written


def test_a_raised_budget_keeps_no_room_for_a_baseline_that_was_compared_before(folder: Folder, server: Server) -> None:
    run(folder, with_holdout(server) | {"budget": {"calls": 60}})

    raised = run(folder, with_holdout(server) | {"budget": {"calls": 120}}, "resume")

    answers = {key[1] for key in raised.calls if key[2] >= N_SEARCHED}
    n_kept = 0 if len(answers) == 3 else 2
    assert raised.n_attempts == 120 - n_kept


def with_holdout(server: Server) -> dict[str, Any]:
    """Return a study with half of its four cases kept from the search."""
    study = predecessor_study(server, parallel_workers=8)
    cases = study["evaluation"]["test_cases"]
    study["evaluation"]["test_cases"] = {"inline": cases, "holdout": 0.5}
    return study


def test_a_raised_budget_goes_on_where_the_smaller_one_stopped(folder: Folder, server: Server) -> None:
    study = predecessor_study(server, parallel_workers=8)
    small = run(folder, study | {"budget": {"calls": 60}})

    large = run(folder, study | {"budget": {"calls": 150}}, "resume")

    assert (small.reason, large.reason) == ("budget_calls", "budget_calls")
    assert len(small.calls) == 60
    assert small.events[:-1] == large.events[: len(small.events) - 1]
    assert set(small.calls) < set(large.calls)
    assert len(large.calls) == server.books()["requests"] == 150
    assert set(server.hits().values()) == {1}


def test_a_budget_in_usd_without_a_price_is_refused_with_its_cure(folder: Folder, server: Server) -> None:
    study = predecessor_study(server) | {"budget": {"usd": 1.0}}
    del study["api"]["prices"]
    folder.write(study)

    refused = folder.run("optimize", "study.yaml")

    assert refused.code == 2
    assert refused.err == (
        "error: study.yaml:81: budget.usd: nothing bounds what a call of sim-tiny costs; give its price in api.prices "
        "and a max_tokens parameter, or the most that a call may cost in budget.usd_per_call\n"
    )
    assert server.books()["requests"] == 0


def test_attempts_that_the_provider_answered_with_its_own_stop_are_in_the_ledger(
    folder: Folder, server: Server
) -> None:
    server.faults(no_money=0.05, cut=0.1)
    folder.write(predecessor_study(server, parallel_workers=16))

    stopped = folder.run("optimize", "study.yaml", "--quiet")

    books = folder.books()
    assert stopped.code == 1
    assert "HTTP 429: You exceeded your simulated quota." in stopped.err
    assert "then: convergence resume crash-test-" in stopped.err
    assert (books.state, books.reason) == ("interrupted", "provider")
    assert books.n_attempts == server.books()["requests"]
    assert server.books()["usd"] <= books.usd

    server.faults(no_money=0.0, cut=0.0)
    process = folder.fork("resume")
    process.join(60)
    resumed = folder.books()
    assert process.exitcode == 0
    assert resumed.n_attempts == server.books()["requests"] == 200
    assert {row["kind"] for row in resumed.calls.values()} == {"ok"}
