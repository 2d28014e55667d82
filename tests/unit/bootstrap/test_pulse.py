"""A worker's heartbeat: both loops turn, or there is none to turn because Redis is away."""

import asyncio
from pathlib import Path
from typing import Any, cast

from convergence_cluster.bootstrap.pulse import Pulse
from convergence_cluster.telemetry import HEARTBEAT_S, Heartbeat
from tests.fakes import FakeClock


class StillLoop:
    """Runs what was asked for later when told to."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._later: Any = None

    def call_later(self, after_s: float, what: Any, *given: object) -> None:
        self._later = (after_s, what, given)

    def turn(self) -> None:
        after_s, what, given = self._later
        self._clock.time_s += after_s
        what(*given)


def beats(path: Path) -> bool:
    there = path.exists()
    path.unlink(missing_ok=True)
    return there


def test_it_beats_while_both_loops_turn_and_stops_when_tasks_are_taken_no_more(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "alive"
    pulse, loop = Pulse(Heartbeat(path, clock=clock), clock=clock), StillLoop(clock)
    pulse.turn()
    pulse.beat_on(cast("asyncio.AbstractEventLoop", loop))
    seen = [beats(path)]

    for _ in range(3):
        pulse.turn()
        loop.turn()
        seen.append(beats(path))
    for _ in range(8):
        loop.turn()

    beats(path)
    loop.turn()
    assert seen == [True] * 4
    assert not beats(path)


def test_it_beats_while_redis_is_away_however_long(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "alive"
    pulse, loop = Pulse(Heartbeat(path, clock=clock), clock=clock), StillLoop(clock)
    pulse.turn()
    pulse.disconnect()
    pulse.beat_on(cast("asyncio.AbstractEventLoop", loop))

    seen = []
    for _ in range(100):
        beats(path)
        loop.turn()
        seen.append(beats(path))

    assert all(seen)
    assert clock.time_s - FakeClock().time_s == 100 * HEARTBEAT_S
