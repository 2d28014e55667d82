"""The time in which a study was worked on."""

import pytest

from convergence_cluster.coordinator.sittings import Sittings, worked_s
from convergence_cluster.domain.journal import Event, Sat
from tests.fakes import FakeClock


def test_sittings_count_from_their_beginning_to_their_end_and_pauses_do_not() -> None:
    clock = FakeClock()
    written: list[Event] = []
    for length_s, pause_s in ((10.0, 5.0), (300.0, 3600.0), (2.0, 0.0)):
        sittings = Sittings(clock)
        sittings.restore(written, ())
        written.append(sittings.begin())
        clock.time_s += length_s
        written += sittings.end()
        clock.time_s += pause_s

    again = Sittings(clock)
    again.restore(written, ())

    assert sittings.active_s == again.active_s == 312.0


def test_a_sitting_counts_while_it_goes_on() -> None:
    clock = FakeClock()
    sittings = Sittings(clock)
    sittings.begin()
    clock.time_s += 7.0

    assert sittings.active_s == 7.0
    assert sittings.beat() == Sat(began_s=1000.0, until_s=1007.0)


@pytest.mark.parametrize(
    ("booked_at_s", "expected"),
    [
        ((), 40.0),
        ((110.0, 115.0), 40.0),
        ((110.0, 128.0), 48.0),
        ((210.0,), 40.0),
        ((128.0, 130.0, 221.0), 51.0),
        ((119.0, 500.0), 40.0),
    ],
    ids=["nothing booked", "before its word", "after", "in the next", "both", "set clock"],
)
def test_a_killed_sitting_ends_with_its_last_word_or_its_last_booking(
    booked_at_s: tuple[float, ...], expected: float
) -> None:
    killed = [Sat(began_s=100.0, until_s=100.0), Sat(began_s=100.0, until_s=120.0)]
    ended = [Sat(began_s=200.0, until_s=200.0), Sat(began_s=200.0, until_s=220.0)]

    assert worked_s([*killed, *ended], booked_at_s) == expected


def test_journals_without_sittings_are_read_by_their_bookings() -> None:
    booked_at_s = (10.0, 15.0, 3600.0, 3602.0)

    assert worked_s((), booked_at_s) == 7.0
    assert worked_s([Sat(began_s=3700.0, until_s=3710.0)], (*booked_at_s, 3705.0)) == 17.0
