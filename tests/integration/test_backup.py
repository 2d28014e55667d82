"""A copy of the database, taken while a study runs, is enough to go on: with another Redis, and on other machines."""

import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster_runs import cluster
from tests.postgres import PostgresServer, postgres_binaries, postgres_server
from tests.study_runs import Books, Server, predecessor_study, serving_llm, wait_until

N_CALLS = 200
MAX_UNDER_WAY = 26
"""1.25 times the study's 8 workers, and a block: calls whose end the copy does not know are booked as lost."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "30", "--seed", "3") as started:
        yield started


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as started:
        yield started


def copied_while_it_runs(folder: Path, server: Server, url: str | None, copy: Callable[[], None]) -> str:
    """Run a study until a third of it is done, copy its database, and kill everything; return the study's id."""
    with cluster(folder, database_url=url) as running:
        running.coordinator()
        running.worker()
        study = running.submit(predecessor_study(server, parallel_workers=8), "--no-cache")
        wait_until(lambda: running.n_calls(study) > N_CALLS // 3)
        copy()
    return study


def goes_on(folder: Path, study: str, server: Server, url: str | None) -> tuple[Books, Books]:
    """Go on from a copy with an empty Redis; return what the copy held, and what there is at the end."""
    with cluster(folder, database_url=url) as running:
        held = running.books(study)
        server.reset()
        running.coordinator()
        running.worker()
        return held, running.finish(study)


def assert_nothing_was_lost(held: Books, end: Books, server: Server) -> None:
    assert held.state == "running"
    assert end.state == "finished"
    assert 0 < len(held.calls) < N_CALLS - MAX_UNDER_WAY <= len(end.calls)
    assert end.n_attempts <= N_CALLS
    assert all(end.calls[key] == row for key, row in held.calls.items())
    assert set(server.hits()) & set(held.calls) == set()


def test_a_study_goes_on_from_a_copy_of_sqlite(server: Server, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    (second / ".convergence").mkdir(parents=True)
    first.mkdir()

    def copy() -> None:
        with sqlite3.connect(first / ".convergence" / "convergence.db") as source:
            source.execute("VACUUM INTO ?", (str(second / ".convergence" / "convergence.db"),))

    study = copied_while_it_runs(first, server, None, copy)
    held, end = goes_on(second, study, server, None)

    assert_nothing_was_lost(held, end, server)


def test_a_study_goes_on_from_a_dump_of_postgresql(server: Server, postgres: PostgresServer, tmp_path: Path) -> None:
    first, second, dump = tmp_path / "first", tmp_path / "second", tmp_path / "dump"
    for folder in (first, second):
        folder.mkdir()
    url, other = postgres.new_database(), postgres.new_database()

    study = copied_while_it_runs(
        first, server, url, lambda: run("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={url}")
    )
    run("pg_restore", "--no-owner", f"--dbname={other}", str(dump))
    held, end = goes_on(second, study, server, other)

    assert_nothing_was_lost(held, end, server)


def run(program: str, *words: str) -> None:
    binaries = postgres_binaries()
    assert binaries is not None
    environ = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [str(binaries / program), *words], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
