"""The hard cap."""

import threading
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cluster.domain.search import StopReason
from convergence_cluster.metering.budget import Budget
from tests.unit.metering.virtual_time import FixedClock

PRICES = st.floats(min_value=0.0, max_value=0.4, allow_nan=False)


def budget(usd: float | None = None, calls: int | None = None, time_s: float | None = None) -> Budget:
    return Budget(clock=FixedClock(), usd=usd, calls=calls, time_s=time_s)


@given(
    steps=st.lists(st.tuples(st.booleans(), PRICES, st.floats(min_value=0.0, max_value=1.0)), max_size=60),
    cap_usd=st.floats(min_value=0.0, max_value=3.0),
    cap_calls=st.integers(min_value=0, max_value=20),
)
def test_no_order_of_reserving_and_settling_exceeds_the_caps(
    steps: list[tuple[bool, float, float]], cap_usd: float, cap_calls: int
) -> None:
    cap = budget(usd=cap_usd, calls=cap_calls)
    in_flight: deque[float] = deque()
    n_sent = 0

    for is_send, usd, share in steps:
        if is_send and cap.reserve(usd):
            in_flight.append(usd)
            n_sent += 1
        elif not is_send and in_flight:
            reserved = in_flight.popleft()
            cap.settle(reserved_usd=reserved, n_attempts=1, usd=reserved * share)

        assert cap.spent_usd + cap.reserved_usd <= cap_usd + 1e-12
        assert n_sent <= cap_calls
        assert cap.calls + len(in_flight) == n_sent


def test_threads_together_never_reserve_more_than_the_cap() -> None:
    cap = budget(usd=1.0, calls=10_000)
    granted: list[bool] = []

    def spend() -> None:
        for _ in range(300):
            is_granted = cap.reserve(0.001)
            granted.append(is_granted)
            if is_granted:
                cap.settle(reserved_usd=0.001, n_attempts=1, usd=0.001)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(granted) == 1000
    assert cap.spent_usd == 1.0
    assert cap.refusal(0.001) is StopReason.BUDGET_USD


def test_a_tenth_fits_ten_times_into_one() -> None:
    cap = budget(usd=1.0)

    assert [cap.reserve(0.1) for _ in range(11)] == [True] * 10 + [False]


def test_what_a_call_did_not_cost_may_be_spent_again() -> None:
    cap = budget(usd=1.0)
    cap.reserve(0.8)

    cap.settle(reserved_usd=0.8, n_attempts=1, usd=0.1)

    assert cap.remaining.usd == pytest.approx(0.9)
    assert cap.reserve(0.9)


def test_a_released_attempt_counts_for_nothing() -> None:
    cap = budget(usd=1.0, calls=1)
    cap.reserve(1.0)

    cap.release(1.0)

    assert (cap.spent_usd, cap.reserved_usd, cap.calls) == (0.0, 0.0, 0)
    assert cap.reserve(1.0)


def test_every_attempt_of_a_call_counts() -> None:
    cap = budget(usd=1.0, calls=5)
    for _ in range(3):
        cap.reserve(0.1)

    cap.settle(reserved_usd=0.1, n_attempts=3, usd=0.25)

    assert (cap.spent_usd, cap.reserved_usd, cap.calls) == (0.25, 0.0, 3)
    assert cap.remaining.calls == 2


def test_a_call_dearer_than_its_reservation_is_booked_as_it_is_and_stops_the_rest() -> None:
    cap = budget(usd=1.0)
    cap.reserve(0.5)

    cap.settle(reserved_usd=0.5, n_attempts=1, usd=1.2)

    assert cap.spent_usd == 1.2
    assert not cap.reserve(0.0)


def test_the_deadline_ends_reservations() -> None:
    clock = FixedClock()
    cap = Budget(clock=clock, time_s=60.0)

    assert cap.reserve()
    clock.at_s += 60.0

    assert not cap.reserve()
    assert cap.refusal() is StopReason.BUDGET_TIME
    assert cap.remaining.time_s == 0.0


def test_time_that_is_set_aside_is_out_of_reach_until_it_is_given_back() -> None:
    clock = FixedClock()
    some = Budget(clock=clock, time_s=60.0)
    aside_s = 10.0
    some.set_aside(calls=0, usd=0.0, time_s=lambda: aside_s)

    clock.at_s += 49.0
    assert some.reserve(0.0)
    aside_s = 20.0
    assert some.refusal() is StopReason.BUDGET_TIME
    assert some.refusal(n=0) is None
    some.give_back()
    assert some.reserve(0.0)
    clock.at_s += 11.0
    assert some.refusal(n=0) is StopReason.BUDGET_TIME


def test_what_an_earlier_run_spent_counts() -> None:
    cap = budget(usd=1.0, calls=10)

    cap.restore(usd=0.95, calls=9)

    assert not cap.reserve(0.1)
    assert cap.reserve(0.05)
    assert cap.refusal() is StopReason.BUDGET_CALLS


def test_a_budget_without_caps_refuses_nothing() -> None:
    cap = budget()

    assert all(cap.reserve(1e6) for _ in range(100))
    assert cap.remaining.usd is None


def test_scoring_is_set_aside_once_however_often_a_call_is_tried() -> None:
    limit = budget(usd=1.0)

    assert limit.reserve(0.2, scoring_usd=0.5)
    assert limit.reserve(0.2)
    assert not limit.reserve(0.2)
    limit.settle(reserved_usd=0.2, n_attempts=2, usd=0.3, scoring_usd=0.5)

    assert (limit.spent_usd, limit.reserved_usd, limit.calls) == (0.3, 0.0, 2)
    assert limit.reserve(0.2, scoring_usd=0.5)
    limit.release(0.2, scoring_usd=0.5)
    assert limit.reserved_usd == 0.0


def test_draws_are_set_aside_together_or_not_at_all() -> None:
    limit = budget(usd=1.0, calls=5)

    assert limit.reserve(0.1, n=4)
    assert not limit.reserve(0.1, n=2)
    assert limit.refusal(0.2, n=2) is StopReason.BUDGET_CALLS
    assert limit.refusal(0.1) is None
    limit.settle(reserved_usd=0.1, n_attempts=2, usd=0.15, n_reserved=4)
    assert (limit.calls, limit.reserved_usd, limit.spent_usd) == (2, 0.0, 0.15)
    assert limit.reserve(0.1, n=3)
