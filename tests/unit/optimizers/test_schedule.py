"""Which calls come next."""

import pytest

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.optimizers.schedule import Schedule


def _schedule() -> Schedule:
    schedule = Schedule([2, 0, 1], max_repeats=2)
    schedule.open()
    return schedule


def test_an_arm_sees_the_cases_in_order_and_then_again() -> None:
    schedule = _schedule()

    blocks = [schedule.take(0, 2) for _ in range(4)]

    assert blocks == [((2, 0), 0), ((1,), 0), ((2, 0), 1), ((1,), 1)]
    assert not schedule.has_more(0)


def test_a_case_taken_ahead_is_left_out_later() -> None:
    schedule = Schedule([2, 0, 1, 3], max_repeats=2)
    schedule.open()

    blocks = [schedule.take(0, 1, 2), *(schedule.take(0, 3) for _ in range(4))]

    assert blocks == [((1,), 0), ((2, 0), 0), ((3,), 0), ((2, 0, 1), 1), ((3,), 1)]
    assert not schedule.has_more(0)


def test_the_last_case_taken_ahead_leaves_nothing_over() -> None:
    schedule = Schedule([1, 0], max_repeats=1)
    schedule.open()

    assert schedule.take(0, 1, 1) == ((0,), 0)
    assert schedule.take(0, 5) == ((1,), 0)
    assert not schedule.has_more(0)


def test_a_skipped_call_is_asked_again_before_new_ones() -> None:
    schedule = _schedule()
    schedule.take(0, 2)

    is_news = schedule.settle((0, 0, 0), OutcomeKind.SKIPPED)

    assert not is_news
    assert schedule.take(0, 2) == ((0,), 0)
    assert schedule.take(0, 2) == ((1,), 0)


def test_a_call_is_news_once() -> None:
    schedule = _schedule()
    schedule.take(0, 2)

    news = [schedule.settle((0, 2, 0), OutcomeKind.OK) for _ in range(3)]

    assert news == [True, False, False]
    assert schedule.in_flight.tolist() == [1]
    assert schedule.n_told.tolist() == [1]


def test_a_late_answer_of_a_skipped_call_counts_and_is_not_asked_again() -> None:
    schedule = _schedule()
    schedule.take(0, 1)
    schedule.settle((0, 2, 0), OutcomeKind.SKIPPED)

    assert schedule.settle((0, 2, 0), OutcomeKind.OK)
    assert schedule.take(0, 1) == ((0,), 0)


def test_a_call_told_before_it_was_asked_for_is_not_waited_for() -> None:
    schedule = _schedule()
    assert schedule.settle((0, 2, 0), OutcomeKind.OK)
    schedule.take(0, 1)

    is_news = schedule.settle((0, 2, 0), OutcomeKind.OK)

    assert not is_news
    assert schedule.in_flight.tolist() == [0]
    assert schedule.n_told.tolist() == [1]


@pytest.mark.parametrize("place", [0, 2])
def test_what_was_taken_elsewhere_as_it_would_be_here_changes_nothing(place: int) -> None:
    here, elsewhere = (Schedule([2, 0, 1, 3], max_repeats=2) for _ in range(2))
    for schedule in (here, elsewhere):
        schedule.open()

    for size, first in ((1, place), (2, 0), (3, 0), (1, 0)):
        cases, repeat = elsewhere.take(0, size, first)
        here.adopt(0, cases, repeat)

    assert here.take(0, 4) == elsewhere.take(0, 4)
    assert here.in_flight[0] == elsewhere.in_flight[0]


def test_what_was_passed_over_elsewhere_comes_next() -> None:
    schedule = Schedule([2, 0, 1, 3], max_repeats=2)
    schedule.open()
    schedule.take(0, 1)

    schedule.adopt(0, [3, 0], 1)

    assert [schedule.take(0, 9) for _ in range(2)] == [((0, 1, 3), 0), ((2, 1), 1)]
    assert not schedule.has_more(0)
    assert schedule.in_flight[0] == 8
