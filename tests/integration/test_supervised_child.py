"""A child of the supervisor: real processes, time that only moves when told."""

import sys
import time
from pathlib import Path

import pytest

from convergence_cluster.machine.child import MAX_DEATHS, SILENT_S, Child, Service
from tests.fakes import FakeClock
from tests.study_runs import wait_until

DIES = "import sys; print('no luck'); sys.exit(3)"
STAYS = "import time; time.sleep(60)"
IGNORES = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)


def child(tmp_path: Path, code: str, clock: FakeClock, *, heartbeat: bool = False, grace_s: float = 5.0) -> Child:
    service = Service(
        name="it",
        command=(sys.executable, "-c", code),
        environ={},
        log=tmp_path / "it.log",
        heartbeat=tmp_path / "it.alive" if heartbeat else None,
        grace_s=grace_s,
    )
    return Child(service=service, clock=clock)


def wait_for_death(tended: Child) -> None:
    def is_dead() -> bool:
        tended.tend()
        return tended.pid is None

    wait_until(is_dead)


def test_what_dies_again_and_again_is_begun_after_growing_pauses_and_then_given_up(tmp_path: Path) -> None:
    clock = FakeClock()
    tended = child(tmp_path, DIES, clock)
    pauses = []

    for _ in range(MAX_DEATHS):
        tended.tend()
        wait_for_death(tended)
        died_s = clock.time_s
        while tended.pid is None and not tended.is_failed:
            clock.time_s += 0.5
            tended.tend()
        pauses.append(clock.time_s - died_s)

    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 0.0]
    assert tended.is_failed
    assert tended.n_restarts == MAX_DEATHS - 1
    assert (tmp_path / "it.log").read_text().count("no luck") == MAX_DEATHS


def test_a_death_after_a_long_life_is_the_first_one_again(tmp_path: Path) -> None:
    clock = FakeClock()
    tended = child(tmp_path, DIES, clock)

    for _ in range(2 * MAX_DEATHS):
        tended.tend()
        clock.time_s += 61.0
        wait_for_death(tended)
        clock.time_s += 0.5

    assert not tended.is_failed


def test_a_process_that_is_silent_is_ended_and_begun_again(tmp_path: Path) -> None:
    clock = FakeClock()
    tended = child(tmp_path, STAYS, clock, heartbeat=True)
    tended.tend()
    first = tended.pid
    (tmp_path / "it.alive").touch()
    is_ready = tended.is_ready

    clock.time_s += SILENT_S - 1.0
    tended.tend()
    (tmp_path / "it.alive").touch()
    time.sleep(0.01)
    clock.time_s += SILENT_S - 1.0
    tended.tend()
    lived = tended.pid
    clock.time_s += SILENT_S + 1.0
    wait_for_death(tended)
    clock.time_s += 1.0
    tended.tend()

    try:
        assert is_ready
        assert lived == first
        assert tended.pid not in {None, first}
        assert not tended.is_ready, "its file is that of the one before"
    finally:
        tended.kill()
        wait_for_death(tended)


@pytest.mark.parametrize("grace_s", [0.0, 7.0])
def test_a_process_that_does_not_leave_in_time_is_ended(tmp_path: Path, grace_s: float) -> None:
    clock = FakeClock()
    tended = child(tmp_path, IGNORES, clock, grace_s=grace_s)
    tended.tend()
    wait_until(lambda: "deaf" in (tmp_path / "it.log").read_text())

    tended.leave()
    clock.time_s += grace_s - 0.1
    tended.tend()
    is_there = tended.pid is not None
    clock.time_s += 0.2
    wait_for_death(tended)

    assert is_there
    assert tended.is_over
    assert tended.n_restarts == 0
