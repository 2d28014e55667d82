"""A repeated study pays nothing for the same calls, and finds the same."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.study_runs import Books, Folder, Server, predecessor_study, serving_llm


@pytest.fixture(scope="module")
def any_server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "5", "--seed", "3") as started:
        yield started


@pytest.fixture
def server(any_server: Server) -> Server:
    any_server.reset()
    any_server.faults(slow=0.0)
    return any_server


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path)


def study_of(server: Server, *, n_workers: int = 4, **changes: Any) -> dict[str, Any]:
    study = predecessor_study(server, parallel_workers=n_workers, reproducible=True)
    study["evaluation"]["metrics"] |= {
        "latency_ms": {"weight": 0.2, "threshold": 5},
        "cost_usd": {"weight": 0.2, "budget_per_call": 0.001},
    }
    return study | {"legacy": {"enabled": False}} | changes


def n_sent(server: Server) -> int:
    return sum(server.hits().values())


def paid_usd(books: Books) -> float:
    return sum(float(entry["usd"]) for entry in books.ledger if entry["kind"] != "cached")


def run(folder: Folder, *words: str) -> Books:
    found = folder.call("optimize", "study.yaml", "--quiet", *words)
    assert found.code == 0, found.err
    return folder.books()


@pytest.mark.parametrize(
    ("n_workers", "budget"),
    [(4, {"calls": 200}), (4, {"usd": 0.05, "calls": 5000}), (32, {"calls": 200})],
    ids=["in this process, ended by calls", "ended by USD", "in a child process"],
)
def test_a_second_run_makes_no_call_and_gives_the_same_answer(
    n_workers: int, budget: dict[str, float], folder: Folder, server: Server
) -> None:
    folder.write(study_of(server, n_workers=n_workers, budget=budget))
    first = run(folder)
    best, n_first = folder.best_config(), n_sent(server)

    second = run(folder)

    assert n_first >= 50
    assert n_sent(server) == n_first
    assert second.decisions() == first.decisions()
    assert second.answers() == first.answers()
    assert folder.best_config() == best
    assert {entry["kind"] for entry in second.ledger} == {"cached"}
    assert paid_usd(second) == 0.0
    assert paid_usd(first) > 0.0
    assert second.usd == pytest.approx(first.usd)


def test_the_latency_of_a_cached_answer_is_that_of_the_call_that_was_paid(folder: Folder, server: Server) -> None:
    folder.write(study_of(server, budget={"calls": 40}))
    first = run(folder)

    second = run(folder)

    def latencies(books: Books) -> list[float]:
        return [row["latency_s"] for _, row in sorted((key[1:], row) for key, row in books.calls.items())]

    assert latencies(second) == latencies(first)
    assert min(latencies(second)) >= 0.005
    assert all(row["is_cached"] for row in second.calls.values())
    assert not any(row.get("is_cached") for row in first.calls.values())


def test_a_raised_budget_pays_only_for_the_calls_beyond(folder: Folder, server: Server) -> None:
    folder.write(study_of(server, budget={"calls": 60}))
    run(folder)
    folder.write(study_of(server, budget={"calls": 100}))

    books = run(folder, "--new")

    assert n_sent(server) == 100
    assert sum(entry["kind"] == "cached" for entry in books.ledger) == 60


def test_another_way_to_score_pays_only_for_what_the_search_now_wants_besides(folder: Folder, server: Server) -> None:
    study = study_of(server, budget={"calls": 60})
    folder.write(study)
    run(folder)
    study["evaluation"]["metrics"]["cost_usd"]["weight"] = 5.0
    folder.write(study)

    books = run(folder)

    n_cached = sum(entry["kind"] == "cached" for entry in books.ledger)
    assert 4 <= n_cached < 60
    assert n_sent(server) == 60 + 60 - n_cached


@pytest.mark.parametrize("way", ["--no-cache", "api", "setting"])
def test_a_study_without_cache_makes_every_call(way: str, folder: Folder, server: Server) -> None:
    study = study_of(server, budget={"calls": 30})
    folder.write(study)
    run(folder)
    n_first = n_sent(server)
    words: tuple[str, ...] = ("--no-cache",) if way == "--no-cache" else ()
    if way == "api":
        study["api"]["cache"] = False
        folder.write(study)
    if way == "setting":
        folder = Folder(path=folder.path, environ={"CONVERGENCE_CACHE_MB": "0"})

    books = run(folder, *words)

    assert n_sent(server) == 2 * n_first == 60
    assert {entry["kind"] for entry in books.ledger} == {"settled"}


def test_the_last_lines_say_what_was_not_paid_and_the_store_can_be_emptied(folder: Folder, server: Server) -> None:
    folder.write(study_of(server, budget={"calls": 30}))
    run(folder)
    shown = folder.call("optimize", "study.yaml", "--quiet")
    info = folder.call("cache", "info")
    kept = folder.call("cache", "prune")
    emptied = folder.call("cache", "prune", "--all")
    run(folder)

    assert re.search(
        r"Spent: .*\$0\.00, 30 calls of 30, .*30 of the calls answered from the cache, worth \$", shown.out
    )
    assert re.search(r"answers\.db: 30 answers, 0\.\d MB, the oldest of \d{4}-", info.out)
    assert "forgot 0 answers" in kept.out
    assert "forgot 30 answers" in emptied.out
    assert n_sent(server) == 60


def test_a_store_that_cannot_be_used_costs_no_study(folder: Folder, server: Server) -> None:
    home = folder.path / ".convergence"
    home.mkdir()
    (home / "answers.db").write_bytes(b"something else entirely, and long enough" * 40)
    folder.write(study_of(server, budget={"calls": 20}))

    found = folder.call("optimize", "study.yaml", "--quiet")

    assert found.code == 0, found.err
    assert "cache.left_alone" in found.err
    assert n_sent(server) == 20


def test_a_study_that_goes_on_counts_what_the_cache_answered(folder: Folder, server: Server) -> None:
    folder.write(study_of(server, budget={"calls": 40}))
    run(folder)
    run(folder)
    folder.write(study_of(server, budget={"calls": 50}))

    found = folder.call("resume", "--quiet")

    books = folder.books()
    assert found.code == 0, found.err
    assert n_sent(server) == 50
    assert books.n_attempts == 50
    assert sum(entry["kind"] == "cached" for entry in books.ledger) == 40
