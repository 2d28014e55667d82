"""How many calls of a study are worth sending."""

import math

import pytest

from convergence_cluster.dispatch.pace import Pace


def test_without_limits_the_study_decides() -> None:
    pace = Pace(parallelism=200)
    pace.learn(2.0)

    assert pace.window == 200
    assert pace.n_busy == math.inf


@pytest.mark.parametrize(
    ("latency_s", "window", "n_busy"), [(0.5, 4 + 15, 5.0), (9.0, 4 + 100, 90.0), (60.0, 200, 600.0)]
)
def test_a_limit_of_requests_is_kept_busy_and_not_much_more(latency_s: float, window: int, n_busy: float) -> None:
    pace = Pace(parallelism=200, rpm=600.0)
    pace.learn(latency_s)

    assert (pace.window, pace.n_busy) == (window, n_busy)


def test_a_limit_of_places_is_kept_full() -> None:
    pace = Pace(parallelism=200, concurrency=40)

    assert (pace.window, pace.n_busy) == (54, 40)


def test_before_the_first_answer_a_second_is_assumed() -> None:
    assert Pace(parallelism=200, rpm=60.0).window == 6


def test_the_latest_latencies_count_most() -> None:
    pace = Pace(parallelism=1)
    for latency_s in [1.0] * 10 + [2.0] * 30:
        pace.learn(latency_s)

    assert pace.mean_s == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(("latency_s", "size"), [(5.0, 1), (1.0, 1), (0.3, 3), (0.05, 20), (0.0, 20)])
def test_a_task_carries_about_a_second_of_work(latency_s: float, size: int) -> None:
    pace = Pace(parallelism=100)
    assert pace.batch_size == 1
    pace.learn(latency_s)

    assert pace.batch_size == size
