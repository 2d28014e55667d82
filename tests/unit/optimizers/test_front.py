"""The Pareto front."""

import numpy as np

from benchmarks.driving import greedy_subset, hypervolume
from convergence_cluster.domain.search import Direction, Objective
from convergence_cluster.optimizers.front import most_covering, nondominated, oriented


def test_the_front_is_what_a_comparison_of_all_pairs_leaves() -> None:
    points = np.random.default_rng(0).integers(0, 6, size=(80, 3)).astype(float)

    kept = nondominated(points)

    for i, point in enumerate(points):
        is_beaten = any((other >= point).all() and (other > point).any() for other in points)
        assert kept[i] != is_beaten


def test_the_last_bit_of_equal_values_makes_no_front() -> None:
    cost = -0.00015
    points = np.array([[0.91, cost], [0.79, cost * (1.0 - 3e-16)], [0.89, cost * (1.0 - 1e-15)], [0.5, -0.0001]])

    assert nondominated(points).tolist() == [True, False, False, True]


def test_no_points_have_no_front() -> None:
    assert nondominated(np.zeros((0, 2))).tolist() == []


def test_the_first_of_a_front_cover_about_as_much_as_any_choice_that_adds_one_by_one() -> None:
    rng = np.random.default_rng(3)
    points = rng.random((300, 3)) ** 0.5 * [1.0, 40.0, 0.002]
    points -= [0.0, 20.0, 0.001]
    front = np.flatnonzero(nondominated(points))

    chosen = most_covering(points, front, 10)

    low, high = points.min(axis=0), points.max(axis=0)
    scaled = (points - low) / (high - low) + 0.1
    usual = front[greedy_subset(scaled[front], 10)]
    assert len(set(chosen.tolist())) == 10 < len(front)
    assert set(chosen.tolist()) <= set(front.tolist())
    assert hypervolume(scaled[chosen]) > 0.97 * hypervolume(scaled[usual])
    assert hypervolume(scaled[chosen[:3]]) > 0.93 * hypervolume(scaled[usual[:3]])
    assert hypervolume(scaled[chosen]) > 1.1 * hypervolume(scaled[front[:3]])


def test_a_front_is_ordered_whole_even_where_a_metric_says_nothing() -> None:
    points = np.array([[0.2, 5.0], [0.9, 5.0], [0.4, 5.0]])

    assert most_covering(points, np.array([1, 0, 2]), 9).tolist() == [1, 0, 2]
    assert most_covering(points, np.zeros(0, dtype=np.int64), 9).tolist() == []
    assert most_covering(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), 9).tolist() == []


def test_minimized_metrics_change_sign() -> None:
    objectives = (
        Objective(name="quality", direction=Direction.MAXIMIZE),
        Objective(name="cost", direction=Direction.MINIMIZE),
    )

    assert oriented(np.array([[0.9, 0.005], [0.4, 0.02]]), objectives).tolist() == [[0.9, -0.005], [0.4, -0.02]]
