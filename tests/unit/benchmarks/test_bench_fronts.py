"""The simulated task, hypervolumes, and what is run on them."""

import itertools

import numpy as np
import pytest

from benchmarks.driving import drive, greedy_subset, hypervolume
from benchmarks.functions import space_of
from benchmarks.large_space import _run as large_space_run
from benchmarks.llm_task import SPACE, LlmTask, task_problem
from benchmarks.methods_front import ParetoHalving
from benchmarks.pareto import best_known, true_volume
from convergence_cluster.domain.space import ParameterKind
from convergence_cluster.optimizers.baselines import RandomSearch
from convergence_cluster.optimizers.baselines_space import draw_configuration


@pytest.mark.parametrize("n_objectives", [1, 2, 3])
def test_the_hypervolume_is_the_share_of_random_points_that_are_dominated(n_objectives: int) -> None:
    rng = np.random.default_rng(0)
    points = rng.random((8, n_objectives))
    probes = rng.random((100_000, n_objectives))

    share = np.mean(np.any(np.all(probes[:, None, :] < points[None], axis=2), axis=1))

    assert hypervolume(points) == pytest.approx(share, abs=0.005)


def test_nothing_has_no_volume() -> None:
    assert hypervolume(np.zeros((0, 3))) == 0.0
    assert hypervolume(np.array([[1.0, 0.0]])) == 0.0


def test_the_greedy_subset_takes_the_largest_gain_first() -> None:
    points = np.array([[0.1, 0.9], [0.6, 0.6], [0.59, 0.59], [0.9, 0.1]])

    assert greedy_subset(points, 3)[0] == 1
    assert 2 not in greedy_subset(points, 3)


def test_calls_of_the_task_average_to_its_truth() -> None:
    task = LlmTask(3)
    configuration = draw_configuration(SPACE, np.random.default_rng(1))

    seen = np.array([task.evaluate(configuration, case, r)[1] for case, r in itertools.product(range(200), range(10))])
    truth = task.truth(configuration)

    assert seen[:, 0].mean() == pytest.approx(truth[0], abs=0.03)
    assert task.evaluate(configuration, 5, 0) == task.evaluate(configuration, 5, 0)
    assert (seen[:, 1:] > 0).all()
    assert ((truth >= 0) & (truth <= 1)).all()


def test_more_calls_bring_more_of_the_best_known_front() -> None:
    task = LlmTask(1)
    problem = task_problem(1, 1200, 8, 25)
    search = RandomSearch(problem)

    volumes = [
        true_volume(task, search, is_ordered=False)
        for n in drive(search, task.evaluate, n_calls=1200, n_workers=8)
        if n % 600 == 0
    ]

    assert 0 < volumes[0] <= volumes[1] + 0.05
    assert volumes[1] < best_known(task, 1)


def test_halving_by_fronts_promotes_a_third() -> None:
    task = LlmTask(1)
    search = ParetoHalving(task_problem(1, 2000, 4))

    for _ in drive(search, task.evaluate, n_calls=2000, n_workers=4):
        pass

    first, second = (len(finished) for finished in search._finished[:2])
    assert first / 3 - 3 <= second <= first / 3
    assert search.recommend().front


def test_the_benchmark_of_a_large_space_measures_how_far_an_answer_falls_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.large_space.MARKS", (100, 200))
    monkeypatch.setattr("benchmarks.large_space.N_KNOWN", 300)

    ours, tpe = (large_space_run((name, 0, 8)) for name in ("ours", "tpe-25"))

    assert set(ours["shortfalls"]) == {"100", "200"}
    assert all(-0.02 < value < 0.5 for run in (ours, tpe) for value in run["shortfalls"].values())


class Function:
    number_of_integer_variables = 1
    lower_bounds = (0.0, -5.0)
    upper_bounds = (3.0, 5.0)


def test_the_first_variables_of_a_function_are_whole_numbers() -> None:
    whole, real = space_of(Function()).parameters

    assert (whole.kind, whole.grid()) == (ParameterKind.INTEGER, (0, 1, 2, 3))
    assert (real.kind, real.low, real.high) == (ParameterKind.CONTINUOUS, -5.0, 5.0)
