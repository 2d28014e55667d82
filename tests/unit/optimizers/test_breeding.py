"""Spaces too large to list: what is looked at, and when enough is known."""

import hashlib
from collections.abc import Callable

import numpy as np
import pytest

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import Configuration, canonical_json
from convergence_cluster.domain.search import (
    Block,
    Direction,
    Objective,
    Observation,
    SearchProblem,
    Stopping,
    StopReason,
)
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.mixtures import Parts, Sampled, chance_above
from convergence_cluster.optimizers.racing import RacingSearch

NUMBERS = tuple(Parameter(name=name, kind=ParameterKind.CONTINUOUS, low=0.0, high=1.0) for name in "xy")
MODEL = Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=tuple(f"m{k}" for k in range(12)))
FLAG = Parameter(name="flag", kind=ParameterKind.CATEGORICAL, values=(False, True))
LABELS = tuple(Parameter(name=name, kind=ParameterKind.CATEGORICAL, values=tuple(range(10))) for name in "abcd")


def _search(*parameters: Parameter, n_cases: int = 20, enabled: bool = False, seed: int = 1) -> RacingSearch:
    return RacingSearch(
        SearchProblem(
            space=SearchSpace(parameters=parameters), n_cases=n_cases, seed=seed, stopping=Stopping(enabled=enabled),
            objectives=(Objective(name="quality", direction=Direction.MAXIMIZE),),
        )
    )  # fmt: skip


def _run(search: RacingSearch, score: Callable[[Configuration, int], float | None], n_calls: int) -> StopReason | None:
    n_made = 0
    while n_made < n_calls:
        block = search.ask()
        if not isinstance(block, Block):
            return block
        for case in block.cases:
            value = score(block.configuration, case)
            kind = OutcomeKind.INFEASIBLE if value is None else OutcomeKind.OK
            search.tell([Observation(arm=block.arm, case=case, repeat=block.repeat, kind=kind, score=value)])
            n_made += 1
    return None


def _hill(configuration: Configuration, case: int) -> float:
    rng = np.random.default_rng([case, int(1e6 * configuration["x"]), int(1e6 * configuration["y"])])
    height = 0.9 - 0.5 * abs(configuration["x"] - 0.3) - 0.4 * abs(configuration["y"] - 0.6)
    return float(np.clip(height + 0.1 * rng.standard_normal(), 0.0, 1.0))


def test_children_are_bred_at_once_of_numbers_and_late_where_labels_make_hills() -> None:
    numbers, hills = _search(*NUMBERS, FLAG), _search(*NUMBERS, MODEL)

    _run(numbers, _hill, 300)
    _run(hills, _hill, 300)
    early = [birth.operator for birth in hills._arms.births]
    _run(hills, _hill, 2500)

    assert {birth.operator for birth in numbers._arms.births[:40]} > {"random"}
    assert set(early) == {"random"}
    assert len(early) < 200 < hills._arms.n
    assert {birth.operator for birth in hills._arms.births[:200]} == {"random"}
    assert {birth.operator for birth in hills._arms.births[200:]} > {"random"}


def test_a_space_where_little_can_run_is_not_given_up() -> None:
    for seed in range(6):
        search = _search(*LABELS, seed=seed)

        def score(configuration: Configuration, _case: int, seed: int = seed) -> float | None:
            digest = hashlib.sha256(f"{seed}{canonical_json(configuration)}".encode()).digest()
            return 0.5 if digest[0] < 13 else None

        assert _run(search, score, 120) is None


@pytest.mark.parametrize("n_cases", [1, 2])
def test_a_continuous_space_is_never_exhausted(n_cases: int) -> None:
    search = _search(*NUMBERS, n_cases=n_cases)

    def score(configuration: Configuration, _case: int) -> float:
        return float(1 - abs(configuration["x"] - 0.3) - 0.5 * abs(configuration["y"] - 0.6))

    assert _run(search, score, 1500) is None


def test_the_chance_of_many_is_that_of_the_sample_as_often_as_it_stands_for() -> None:
    sample = Parts(shares=np.array([[1.0] * 3, [0.0] * 3, [0.0] * 3, [0.0] * 3]), means=np.full((4, 3), 0.5),
                   variances=np.full((4, 3), 0.01))  # fmt: skip
    bars = np.array([0.6, 0.8])

    many = Sampled(each=10.0, sample=sample).chance_above(bars)

    assert np.allclose(many, 1.0 - (1.0 - chance_above(sample, bars)[:, 0]) ** 30)


def test_nobody_is_sure_of_a_large_space_that_was_hardly_looked_at() -> None:
    rng = np.random.default_rng(3)
    effects, own = rng.normal(0.0, 0.05, (4, 10)), rng.normal(0.0, 0.03, 10_000)

    def score(configuration: Configuration, case: int) -> float:
        values = [int(configuration[name]) for name in "abcd"]
        place = sum(value * 10**k for k, value in enumerate(values))
        noise = np.random.default_rng([place, case]).standard_normal()
        true = 0.55 + sum(effects[k, value] for k, value in enumerate(values)) + own[place]
        return float(np.clip(true + 0.03 * noise, 0.0, 1.0))

    assert _run(_search(*LABELS, n_cases=40, enabled=True), score, 700) is None
