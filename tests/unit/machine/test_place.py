"""What is kept of a cluster on this machine, and how commands find it."""

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.machine import place as place_module
from convergence_cluster.machine.control import found_environment, place_in
from convergence_cluster.machine.place import Place, Running, State, Wanted
from convergence_cluster.storage.living import process_identity

URL = "redis://:secret@127.0.0.1:7/0"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = place_in(tmp_path)
    made.make()
    return made


def state(**changes: object) -> State:
    running = Running(
        name="worker-1", pid=1, identity="1@2", n_restarts=0, is_failed=False, is_ready=True, metrics_port=9
    )
    given = State(
        pid=os.getpid(),
        identity=process_identity(os.getpid()),
        environment={"CONVERGENCE_BROKER_URL": URL, "CONVERGENCE_DATABASE_URL": "sqlite:////there"},
        flower_url="http://127.0.0.1:1",
        metrics_url="http://127.0.0.1:2/metrics",
        n_workers=1,
        concurrency=64,
        running=(running,),
    )
    return replace(given, **changes)  # type: ignore[arg-type]  # fields of State


def test_what_is_told_is_read_back(place: Place) -> None:
    place.tell(state())
    place.want(Wanted(n_workers=3, concurrency=8))

    assert place.state() == state()
    assert place.wanted() == Wanted(n_workers=3, concurrency=8)
    assert '"127.0.0.1:9"' in (place.folder / "prometheus.json").read_text()


def test_an_ended_cluster_is_forgotten(place: Place) -> None:
    place.tell(state())

    place.forget()

    assert place.state() is None
    assert not (place.folder / "prometheus.json").exists()


def test_files_are_for_their_owner_only(place: Place) -> None:
    place.tell(state())

    assert stat.S_IMODE((place.folder / "state.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(place.folder.stat().st_mode) == 0o700


def test_passwords_and_ports_stay_from_one_start_to_the_next(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter(range(1, 100))
    monkeypatch.setattr(place_module, "free_port", lambda: next(numbers))
    monkeypatch.setattr(place_module, "is_free", lambda port: port != 2)

    first, second = place.keep(), place.keep()

    assert (first.redis_port, first.flower_port, first.metrics_port) == (1, 2, 3)
    assert (second.redis_port, second.flower_port, second.metrics_port) == (1, 4, 3)
    assert second.redis_password == first.redis_password != first.flower_password


def test_a_cluster_that_is_up_completes_the_environment(place: Place, tmp_path: Path) -> None:
    place.tell(state())

    found = found_environment({"A": "1"}, tmp_path)

    assert found == {"A": "1", **state().environment}


@pytest.mark.parametrize("named", ["redis://other", ""])
def test_an_explicit_broker_wins_even_an_empty_one(place: Place, tmp_path: Path, named: str) -> None:
    place.tell(state())

    assert found_environment({"CONVERGENCE_BROKER_URL": named}, tmp_path) == {"CONVERGENCE_BROKER_URL": named}


def test_without_a_cluster_nothing_is_added(tmp_path: Path) -> None:
    assert found_environment({"A": "1"}, tmp_path) == {"A": "1"}


def test_a_dead_supervisor_is_said(place: Place, tmp_path: Path) -> None:
    place.tell(state(identity="another process of this number"))

    with pytest.raises(ConvergenceError, match=r"does not run any more.*`make up`.*`make down`"):
        found_environment({}, tmp_path)


def test_a_broken_file_is_as_good_as_none(place: Place) -> None:
    place.write("state.json", "{")

    assert place.state() is None
