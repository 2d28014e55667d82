"""The search for the whole front."""

import numpy as np

from benchmarks.driving import drive, hypervolume
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.search import Direction, Objective, SearchProblem, Stopping
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.racing import RacingSearch
from convergence_cluster.optimizers.tradeoffs import MetricPriors, Tradeoffs, utilities

OBJECTIVES = (
    Objective(name="quality", direction=Direction.MAXIMIZE),
    Objective(name="cost", direction=Direction.MINIMIZE),
)
SPACE = SearchSpace(
    parameters=(
        Parameter(name="size", kind=ParameterKind.ORDINAL, values=tuple(range(12))),
        Parameter(name="waste", kind=ParameterKind.ORDINAL, values=tuple(range(12))),
    )
)


def _truth(configuration: Configuration) -> tuple[float, float]:
    """More size is better and dearer, waste is dearer only."""
    size, waste = configuration["size"] / 11, configuration["waste"] / 11
    return 0.2 + 0.7 * size, 1.0 + 3.0 * size + 6.0 * waste


def _share_of_the_front(seed: int, ablate: tuple[str, ...]) -> float:
    problem = SearchProblem(
        space=SPACE, n_cases=20, objectives=OBJECTIVES, seed=seed, stopping=Stopping(enabled=False),
        settings={"ablate": list(ablate)},
    )  # fmt: skip
    search = RacingSearch(problem)

    def evaluate(configuration: Configuration, case: int, repeat: int) -> tuple[float, tuple[float, ...]]:
        rng = np.random.default_rng([seed, case, repeat, configuration["size"], configuration["waste"]])
        quality, cost = _truth(configuration)
        seen = float(rng.random() < quality)
        return 0.9 * seen + 0.1 / (1 + cost), (seen, cost * float(np.exp(0.2 * rng.standard_normal())))

    for _ in drive(search, evaluate, n_calls=400, n_workers=8):
        pass

    def volume(configurations: list[Configuration]) -> float:
        points = np.array([(q, 10.0 - c) for q, c in map(_truth, configurations)])
        return hypervolume(points)

    best: list[Configuration] = [{"size": size, "waste": 0} for size in range(12)]
    return volume([estimate.configuration for estimate in search.recommend().front]) / volume(best)


def test_the_whole_front_is_found_where_the_score_alone_finds_its_end() -> None:
    whole = [_share_of_the_front(seed, ()) for seed in range(3)]
    end = [_share_of_the_front(seed, ("front",)) for seed in range(3)]

    assert np.mean(whole) > 0.93
    assert np.mean(whole) > np.mean(end) + 0.02


def test_what_is_expected_to_reach_farthest_is_called_while_less_is_known_of_it_than_of_its_rival() -> None:
    tradeoffs = Tradeoffs(OBJECTIVES)
    tradeoffs.means = np.array([[0.60, 0.60], [0.59, 0.59], [0.4, 0.4]])
    tradeoffs.variances = np.array([[0.01, 0.01], [0.001, 0.001], [0.04, 0.04]])
    arms, features = np.arange(3), np.ones((3, 1))
    none = MetricPriors(means=np.zeros((0, 2)), variances=np.zeros((0, 2)))
    new = MetricPriors(means=np.ones((1, 2)), variances=np.full((1, 2), 1e-4))
    rng = np.random.default_rng(0)

    chosen = np.bincount([tradeoffs.choose(arms, features, none, rng) for _ in range(200)], minlength=3)
    without = np.bincount([tradeoffs.choose(arms[1:], features, none, rng) for _ in range(200)], minlength=2)

    assert chosen[1] == 0
    assert chosen[0] > 150
    assert 0 < chosen[2] < 50
    assert without[0] > 100
    assert tradeoffs.choose(arms, features, new, rng) == 3
    assert tradeoffs.choose(arms[:0], features, new, rng) == 0


def test_utilities_grow_with_what_is_better_and_span_the_range() -> None:
    means, variances = np.array([1.0, 10.0, 100.0, np.nan]), np.array([0.01, 1.0, 100.0, np.inf])
    known = np.isfinite(means)

    values, errors = utilities(means, variances, known, Direction.MINIMIZE)
    plain, _ = utilities(means, variances, known, Direction.MAXIMIZE)

    assert np.allclose(values[:3], [1.0, 0.5, 0.0])
    assert np.allclose(errors[:3], 0.01 / np.log(100.0) ** 2)
    assert np.isinf(errors[3])
    assert np.allclose(plain[:3], [0.0, 1 / 11, 1.0])
