"""The same seed gives the same history, whatever the number of workers and whoever answers first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.study_runs import Books, Folder, Server, predecessor_study, serving_llm


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "5", "--seed", "3") as started:
        yield started


def run(server: Server, folder: Folder, *, n_workers: int, seed: int = 7) -> Books:
    study = predecessor_study(server, parallel_workers=n_workers, reproducible=True)
    study["optimization"]["seed"] = seed
    folder.write(study)
    process = folder.fork("optimize", "study.yaml")
    process.join(60)
    assert process.exitcode == 0, (folder.path / "output.txt").read_text()
    return folder.books()


def folder_in(path: Path, name: str) -> Folder:
    (path / name).mkdir()
    return Folder(path=path / name)


def test_a_reproducible_history_does_not_depend_on_workers_or_latencies(server: Server, tmp_path: Path) -> None:
    server.faults(slow=0.0)
    expected = run(server, folder_in(tmp_path, "calm"), n_workers=4)
    server.faults(slow=0.2, slow_s=0.04)
    found = [run(server, folder_in(tmp_path, f"{n}"), n_workers=n) for n in (1, 4, 16)]

    for books in found:
        assert books.decisions() == expected.decisions()
        assert books.answers() == expected.answers()
    assert len(expected.calls) == 200


def test_another_seed_gives_another_history(server: Server, tmp_path: Path) -> None:
    server.faults(slow=0.0)

    first = run(server, folder_in(tmp_path, "first"), n_workers=4, seed=7)
    second = run(server, folder_in(tmp_path, "second"), n_workers=4, seed=8)

    assert first.decisions() != second.decisions()
