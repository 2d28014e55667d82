"""The Pareto front."""

import numpy as np

from convergence_cluster.domain.search import Direction, Objective
from convergence_cluster.optimizers.front import nondominated, oriented, violation


def test_the_front_is_what_a_comparison_of_all_pairs_leaves() -> None:
    points = np.random.default_rng(0).integers(0, 6, size=(80, 3)).astype(float)

    kept = nondominated(points)

    for i, point in enumerate(points):
        is_beaten = any((other >= point).all() and (other > point).any() for other in points)
        assert kept[i] != is_beaten


def test_no_points_have_no_front() -> None:
    assert nondominated(np.zeros((0, 2))).tolist() == []


def test_minimized_metrics_change_sign_and_bounds_are_measured_relative_to_themselves() -> None:
    objectives = (
        Objective(name="quality", direction=Direction.MAXIMIZE, low=0.8),
        Objective(name="cost", direction=Direction.MINIMIZE, high=0.01),
    )
    values = np.array([[0.9, 0.005], [0.4, 0.02]])

    assert oriented(values, objectives).tolist() == [[0.9, -0.005], [0.4, -0.02]]
    assert np.allclose(violation(values, objectives), [0.0, 1.5])
