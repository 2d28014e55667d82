"""A study whose metrics want several answers to the same request."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.study_runs import Folder, Server, predecessor_study, serving_llm


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "10", "--seed", "3") as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path)


def test_every_draw_is_a_call_of_its_own_within_the_cap(folder: Folder, server: Server) -> None:
    server.reset()
    study = predecessor_study(server, parallel_workers=8)
    metrics = study["evaluation"]["metrics"] | {
        "sure": {"function": "pass^k", "repeats": 3, "threshold": 0.5, "weight": 1},
        "steady": {"function": "consistency", "repeats": 3, "by": "close", "weight": 0},
    }
    study |= {"evaluation": study["evaluation"] | {"metrics": metrics}, "budget": {"calls": 100, "usd": 50}}
    folder.write(study)

    done = folder.call("optimize", "study.yaml", "-q")

    books, seen = folder.books(), server.books()
    assert done.code == 0, done.err
    assert seen["requests"] == books.n_attempts == 99
    assert {row["n_attempts"] for row in books.calls.values()} == {3}
    assert set(server.hits().values()) == {1}
    draws = Counter((*key[:3], key[3] // 3) for key in server.hits())
    assert set(draws.values()) == {3}
    assert len(draws) == len(books.calls) == 33
    assert all(row["metrics"]["sure"] in {0.0, 1.0} for row in books.calls.values())
    assert all(0.0 <= row["metrics"]["steady"] <= 1.0 for row in books.calls.values())
    assert "99 calls of 100" in done.out


def test_a_killed_study_goes_on_with_the_same_draws(folder: Folder, server: Server) -> None:
    server.reset()
    study = predecessor_study(server, parallel_workers=4)
    study["evaluation"]["metrics"] |= {"sure": {"function": "pass^k", "repeats": 2, "threshold": 0.5}}
    study |= {"budget": {"calls": 60}}
    folder.write(study)

    process = folder.fork("optimize", "study.yaml")
    process.join(1.2)
    process.kill()
    process.join()
    resumed = folder.call("resume", "-q")

    books = folder.books()
    assert resumed.code == 0, resumed.err
    assert server.books()["requests"] <= 60
    assert {row["n_attempts"] for row in books.calls.values()} == {2}
    assert all(entry["n_attempts"] == 2 for entry in books.ledger)
    assert books.n_attempts >= 59
