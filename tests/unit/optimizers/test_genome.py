"""Configurations as rows of numbers."""

import numpy as np
import pytest

from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.genome import Codec

SPACE = SearchSpace(
    parameters=(
        Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=("a", "b", {"x": 1.0})),
        Parameter(name="tokens", kind=ParameterKind.ORDINAL, values=(256, 512, 1024)),
        Parameter(name="temperature", kind=ParameterKind.CONTINUOUS, low=0.0, high=1.0),
        Parameter(name="rate", kind=ParameterKind.CONTINUOUS, low=0.001, high=10.0, log=True),
        Parameter(name="effort", kind=ParameterKind.CATEGORICAL, values=("low", "high"), when={"model": ("b",)}),
    )
)


@pytest.mark.parametrize(
    "configuration",
    [
        {"model": "a", "tokens": 256, "temperature": 0.25, "rate": 0.1},
        {"model": "b", "tokens": 1024, "temperature": 1.0, "rate": 10.0, "effort": "high"},
        {"model": {"x": 1}, "tokens": 512, "temperature": 0.0, "rate": 0.001},
    ],
)
def test_a_configuration_survives_its_row(configuration: dict[str, object]) -> None:
    codec = Codec(SPACE)

    assert codec.decode(codec.encode([configuration])[0]) == configuration


def test_repaired_rows_have_exactly_the_parameters_that_apply() -> None:
    codec, rng = Codec(SPACE), np.random.default_rng(0)

    rows = codec.repair(codec.random(200, rng), rng)

    for row in rows:
        configuration = codec.decode(row)
        assert ("effort" in configuration) == (configuration["model"] == "b")
        assert {"model", "tokens", "temperature", "rate"} <= set(configuration)
        assert 0.001 <= configuration["rate"] <= 10.0


def test_a_finite_space_is_listed_without_the_combinations_that_do_not_exist() -> None:
    space = SearchSpace(parameters=tuple(p for p in SPACE.parameters if p.name in {"model", "tokens", "effort"}))
    codec = Codec(space)

    rows = codec.enumerate(100)

    assert rows is not None
    assert len(rows) == 3 + 2 * 3 + 3
    assert len({str(codec.decode(row)) for row in rows}) == len(rows)


def test_a_space_with_a_real_number_is_not_listed() -> None:
    assert Codec(SPACE).enumerate(10**6) is None


def test_integers_stay_whole_and_in_their_range() -> None:
    wide = SearchSpace(parameters=(Parameter(name="n", kind=ParameterKind.INTEGER, low=1, high=1000, log=True),))
    codec, rng = Codec(wide), np.random.default_rng(1)

    values = [codec.decode(row)["n"] for row in codec.repair(codec.random(300, rng), rng)]

    assert all(isinstance(value, int) and 1 <= value <= 1000 for value in values)
    assert np.median(values) < 100


def test_values_on_a_fine_grid_far_from_nothing_stay_on_it() -> None:
    space = SearchSpace(
        parameters=(Parameter(name="x", kind=ParameterKind.CONTINUOUS, low=20_000, high=30_000, step=0.25),)
    )
    codec, rng = Codec(space), np.random.default_rng(0)

    values = [float(codec.decode(row)["x"]) for row in codec.repair(codec.random(500, rng), rng)]

    assert all(value * 4 == round(value * 4) for value in values)
    assert len(set(values)) > 450
