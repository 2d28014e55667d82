"""Invariant: Ctrl-C keeps what is finished, and going on makes only the missing calls. One process writes a study."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from convergence_cluster.storage.database import open_database
from tests.study_runs import Folder, Server, predecessor_study, serving_llm, wait_until

N_WORKERS = 8


@pytest.fixture(scope="module")
def calm_server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "150", "--seed", "3") as started:
        yield started


@pytest.fixture
def server(calm_server: Server) -> Server:
    calm_server.reset()
    calm_server.faults(slow=0.0)
    return calm_server


@pytest.fixture
def folder(server: Server, tmp_path: Path) -> Folder:
    prepared = Folder(path=tmp_path)
    prepared.write(predecessor_study(server, parallel_workers=N_WORKERS))
    return prepared


@contextmanager
def started(folder: Folder, *words: str) -> Iterator["subprocess.Popen[str]"]:
    process = folder.start(*words)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def has_calls(server: Server, n_calls: int) -> Any:
    return lambda: server.books()["requests"] >= n_calls


def test_ctrl_c_drains_saves_and_goes_on_without_repeating(folder: Folder, server: Server) -> None:
    with started(folder, "optimize", "study.yaml") as process:
        wait_until(has_calls(server, 40))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    stopped = folder.books()

    resumed = folder.run("resume", "--json")

    finished = folder.books()
    assert process.returncode == 130
    assert "go on with: convergence resume crash-test-" in err
    assert stopped.state == "interrupted"
    assert stopped.events[-1] == ("stopped", None)
    assert (folder.path / "results" / "best_config.json").is_file()
    assert resumed.code == 0
    assert set(stopped.calls) < set(finished.calls)
    assert set(server.hits().values()) == {1}
    assert len(finished.calls) == server.books()["requests"] == finished.n_attempts == 200
    assert {entry["kind"] for entry in finished.ledger} == {"settled"}


def test_a_second_ctrl_c_stops_at_once_and_loses_nothing_finished(folder: Folder, server: Server) -> None:
    with started(folder, "optimize", "study.yaml") as process:
        wait_until(has_calls(server, 40))
        server.faults(slow=1.0, slow_s=30.0)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
        began_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    seconds = time.monotonic() - began_s
    server.faults(slow=0.0)
    stopped = folder.books()

    resumed = folder.run("resume", "--json")

    finished, hits = folder.books(), server.hits()
    unknown = [entry for entry in finished.ledger if entry["kind"] == "unknown"]
    assert process.returncode == 130
    assert (err, seconds < 10) == ("interrupted\n", True)
    assert stopped.state == "interrupted"
    assert resumed.code == 0
    assert set(stopped.calls) < set(finished.calls)
    assert all(hits[key] == 1 for key in stopped.calls)
    assert sum(hits.values()) - len(hits) <= N_WORKERS
    assert N_WORKERS <= len(unknown) <= N_WORKERS + N_WORKERS // 4 + 16


def test_ctrl_c_in_a_terminal_leaves_the_studys_own_sandbox_up_until_the_calls_are_in(tmp_path: Path) -> None:
    folder = Folder(path=tmp_path)
    with serving_llm("--landscape", "predecessor") as server:
        study = predecessor_study(server, parallel_workers=N_WORKERS)
    study["api"]["endpoint"] = "sandbox://llm/v1/chat/completions?landscape=predecessor&latency-ms=300&seed=3"
    folder.write(study)
    with started(folder, "optimize", "study.yaml", "--json") as process:
        assert process.stdout is not None
        while process.stdout.readline().count('"calls": 0'):
            pass

        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=20)

    stopped = folder.books()
    assert process.returncode == 130
    assert len(stopped.calls) >= N_WORKERS
    assert {row["kind"] for row in stopped.calls.values()} == {"ok"}


def test_a_study_has_one_process_at_a_time(folder: Folder, server: Server) -> None:
    folder.write(predecessor_study(server, parallel_workers=N_WORKERS) | {"budget": {"calls": 1000}})
    with started(folder, "optimize", "study.yaml") as process:
        wait_until(has_calls(server, 20))

        second = folder.call("optimize", "study.yaml")

        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert second.code == 1
    assert second.out == ""
    assert second.err.startswith("error: Study crash-test-")
    assert f"(process {process.pid} on " in second.err
    assert second.err.count("\n") == 1
    assert process.returncode == 130
    assert set(server.hits().values()) == {1}


def test_a_process_that_lost_its_lease_pays_for_nothing_more_and_changes_nothing(
    folder: Folder, server: Server
) -> None:
    with started(folder, "optimize", "study.yaml") as process:
        wait_until(has_calls(server, 40))
        database = open_database(f"sqlite:///{folder.path}/.convergence/convergence.db")
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE convergence_leases SET token = token + 1")
            connection.exec_driver_sql("UPDATE convergence_studies SET state = 'cancelled'")
        n_requests = server.books()["requests"]

        _, err = process.communicate(timeout=20)

    with database.read() as connection:
        states = connection.exec_driver_sql("SELECT state FROM convergence_studies").all()
    database.close()
    assert process.returncode == 1
    assert err == "error: Another process took over this study; this one makes no further paid call.\n"
    assert [tuple(row) for row in states] == [("cancelled",)]
    assert server.books()["requests"] <= n_requests + 2 * N_WORKERS
