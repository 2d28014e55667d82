"""What every store of answers must do."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.storage.answer_store import SqliteAnswers
from convergence_cluster.trials.protocols import AnswerStore
from tests.fakes import FakeClock

Open = Callable[[], AnswerStore]


@pytest.fixture(params=["sqlite"])
def open_store(tmp_path: Path) -> Open:
    """Return what opens the same store again and again, as another process would."""
    return lambda: SqliteAnswers(tmp_path / "new" / "answers.db", clock=FakeClock())


def test_what_was_put_is_found_by_whoever_opens_the_store(open_store: Open) -> None:
    async def use() -> list[bytes | None]:
        first, second = open_store(), open_store()
        await first.put("k", b"\x00one")
        found = [await second.get("k"), await second.get("other")]
        await second.put("k", b"two")
        found.append(await first.get("k"))
        await first.close()
        await second.close()
        return found

    assert asyncio.run(use()) == [b"\x00one", None, b"two"]


def test_many_answers_at_once_are_all_kept(open_store: Open) -> None:
    async def use() -> int:
        stores = [open_store() for _ in range(4)]
        await asyncio.gather(*(stores[n % 4].put(f"k{n}", bytes([n])) for n in range(200)))
        found = await asyncio.gather(*(stores[0].get(f"k{n}") for n in range(200)))
        for store in stores:
            await store.close()
        return sum(value == bytes([n]) for n, value in enumerate(found))

    assert asyncio.run(use()) == 200


def sqlite_store(path: Path, clock: FakeClock | None = None, *, max_bytes: int | None = None) -> SqliteAnswers:
    return SqliteAnswers(path / "answers.db", clock=clock or FakeClock(), max_bytes=max_bytes)


def filled(path: Path, n: int, *, max_bytes: int | None = None) -> SqliteAnswers:
    clock = FakeClock()
    store = sqlite_store(path, clock, max_bytes=max_bytes)
    for number in range(n):
        clock.time_s = 1000.0 + number
        asyncio.run(store.put(f"k{number}", b"x" * 100))
    return store


def test_a_full_store_forgets_its_oldest_answers(tmp_path: Path) -> None:
    store = filled(tmp_path, 25, max_bytes=1000)

    size = store.size()

    assert 900 <= size.n_bytes <= 1000
    assert asyncio.run(store.get("k24")) is not None
    assert asyncio.run(store.get("k10")) is None


@pytest.mark.parametrize(
    ("limits", "left"),
    [({"before_s": 1004.0}, 6), ({"max_bytes": 350}, 3), ({"before_s": 1008.0, "max_bytes": 350}, 2), ({}, 0)],
)
def test_pruning_forgets_by_age_and_by_size_and_gives_the_disk_back(
    tmp_path: Path, limits: dict[str, float], left: int
) -> None:
    store = filled(tmp_path, 10)

    n_forgotten = store.prune(**limits)  # type: ignore[arg-type]  # numbers of either kind

    assert n_forgotten == 10 - left
    assert store.size().n_answers == left
    assert asyncio.run(store.get("k9")) == (b"x" * 100 if left else None)


def test_what_was_put_survives_the_sudden_end_of_its_process(tmp_path: Path) -> None:
    script = (
        "import asyncio, os, sys; from pathlib import Path\n"
        "from convergence_cluster.domain.clock import SystemClock\n"
        "from convergence_cluster.storage.answer_store import SqliteAnswers\n"
        "store = SqliteAnswers(Path(sys.argv[1]), clock=SystemClock())\n"
        "asyncio.run(store.put('k', b'paid')); os.kill(os.getpid(), 9)"
    )

    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "answers.db")], env=dict(os.environ), check=False
    )

    assert done.returncode == -9
    assert asyncio.run(sqlite_store(tmp_path).get("k")) == b"paid"


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "answers.db").write_bytes(b"something else entirely, and long enough" * 40)

    with pytest.raises(ConvergenceError, match=r"answers\.db: .*not a database"):
        sqlite_store(tmp_path)


def test_a_store_that_stops_working_says_so(tmp_path: Path) -> None:
    store = sqlite_store(tmp_path)
    with sqlite3.connect(tmp_path / "answers.db") as other:
        other.execute("DROP TABLE answers")

    with pytest.raises(ConvergenceError, match="no such table"):
        asyncio.run(store.get("k"))
