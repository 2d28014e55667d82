"""Invariant: kill -9 at any moment loses no finished call, repeats none, and changes nothing about the answer."""

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import PostgresServer, postgres_server
from tests.sabotage import decide_otherwise
from tests.study_runs import Books, Folder, Server, predecessor_study, serving_llm, wait_until

N_WORKERS = 8
N_CALLS = 160 * 4
"""Every configuration on every case once."""
MAX_UNDER_WAY = 20 + 16
"""What a reproducible study asks for ahead, and a block."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "20", "--seed", "3") as started:
        yield started


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as started:
        yield started


@pytest.fixture(scope="module")
def reference(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """The same study, never interrupted."""
    return run_to_end(server, Folder(path=tmp_path_factory.mktemp("reference")))


def write_study(server: Server, folder: Folder) -> None:
    study = predecessor_study(server, parallel_workers=N_WORKERS, reproducible=True, max_repeats=1)
    study["search_space"]["parameters"]["temperature"] = [0.1 * step for step in range(8)]
    folder.write(study | {"budget": {"calls": 100_000, "usd": 1000.0}})


def run_to_end(server: Server, folder: Folder) -> Folder:
    write_study(server, folder)
    process = folder.fork("optimize", "study.yaml")
    process.join(60)
    assert process.exitcode == 0, (folder.path / "output.txt").read_text()
    return folder


def kill_at_random(server: Server, folder: Folder, *, n_kills: int, seed: int) -> None:
    """Start the study again and again, and kill it while it starts, after some calls, or in the middle of any work."""
    moments = random.Random(seed)
    write_study(server, folder)
    for _ in range(n_kills):
        n_before = server.books()["requests"]
        n_more = moments.randint(1, 40)
        is_early = moments.random() < 0.2
        process = folder.fork("optimize", "study.yaml")
        if not is_early:
            wait_until(lambda: server.books()["requests"] >= n_before + n_more)  # noqa: B023 - used at once
        time.sleep(moments.uniform(0.0, 0.5 if is_early else 0.02))
        process.kill()
        process.join(10)
    wait_until(lambda: server.books()["in_flight"] == 0)


def check_books(server: Server, books: Books, *, n_kills: int) -> None:
    unknown = [entry for entry in books.ledger if entry["kind"] == "unknown"]
    n_unknown = Counter(map(key_of, unknown))
    hits = {key: count for key, count in server.hits().items() if key in books.calls}

    assert hits.keys() == books.calls.keys()
    assert {key: count for key, count in hits.items() if count > 1 + n_unknown[key]} == {}
    assert all(row["n_attempts"] == 1 for row in books.calls.values())
    resumed = [len(body) for kind, body in books.events if kind == "resumed"]
    assert len(resumed) >= n_kills // 2
    assert max(resumed) <= MAX_UNDER_WAY
    assert all(entry["usd"] == books.calls[key_of(entry)]["reserved_usd"] > 0.0 for entry in unknown)


def key_of(entry: Mapping[str, Any]) -> tuple[str, int, int, int]:
    return entry["study"], entry["arm"], entry["case_index"], entry["repeat"]


def check_money(server: Server, books: Books) -> None:
    billed_usd = server.books()["usd"]
    unknown_usd = sum(entry["usd"] for entry in books.ledger if entry["kind"] == "unknown")
    assert billed_usd - 1e-9 <= books.usd <= billed_usd + unknown_usd
    assert books.n_attempts >= server.books()["requests"]


def test_twenty_kills_repeat_no_finished_call_and_end_in_the_same_answer(
    server: Server, reference: Folder, tmp_path: Path
) -> None:
    folder = Folder(path=tmp_path)
    server.reset()
    kill_at_random(server, folder, n_kills=20, seed=11)

    run_to_end(server, folder)

    books, expected = folder.books(), reference.books()
    check_books(server, books, n_kills=20)
    check_money(server, books)
    assert books.reason == expected.reason == "exhausted"
    assert len(books.calls) == N_CALLS
    assert books.answers() == expected.answers()
    assert books.decisions() == expected.decisions()
    assert folder.best_config() == reference.best_config()


def test_a_killed_study_goes_on_in_postgresql(
    server: Server, reference: Folder, postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.new_database()
    folder = Folder(path=tmp_path, environ={"CONVERGENCE_DATABASE_URL": url})
    server.reset()
    kill_at_random(server, folder, n_kills=3, seed=13)

    run_to_end(server, folder)

    books, expected = folder.books(url=url), reference.books()
    check_books(server, books, n_kills=3)
    check_money(server, books)
    assert books.answers() == expected.answers()
    assert books.decisions() == expected.decisions()


def test_a_killed_study_goes_on_where_the_search_would_decide_otherwise(server: Server, tmp_path: Path) -> None:
    folder = Folder(path=tmp_path)
    server.reset()
    kill_at_random(server, folder, n_kills=3, seed=17)

    process = folder.fork("optimize", "study.yaml", before=decide_otherwise)
    process.join(60)

    output = (folder.path / "output.txt").read_text()
    assert process.exitcode == 0, output
    assert "study.decided_otherwise" in output
    books = folder.books()
    check_books(server, books, n_kills=3)
    check_money(server, books)
    assert (books.reason, len(books.calls)) == ("exhausted", N_CALLS)
