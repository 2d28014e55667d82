"""Whether the arms of some level deviate more."""

import numpy as np
import pytest

from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.genome import Codec
from convergence_cluster.optimizers.scatter import Scatter

CODEC = Codec(
    SearchSpace(
        parameters=(
            Parameter(name="other", kind=ParameterKind.CATEGORICAL, values=("a", "b", "c")),
            Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=("calm", "wild")),
        )
    )
)


def _surprises(deviations: tuple[float, float], n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.integers(3, size=n), rng.integers(2, size=n)]).astype(float)
    own = np.array(deviations)[rows[:, 1].astype(int)]
    return rows, rng.normal(0.0, np.sqrt(own**2 + 0.0004))


def test_the_levels_that_deviate_more_are_found() -> None:
    rows, surprises = _surprises((0.02, 0.2), 400)
    scatter = Scatter(CODEC)

    scatter.fit(rows, surprises, np.full(400, 0.0004), 0.02, np.ones(400))

    calm, wild = scatter(np.array([[0.0, 0.0], [2.0, 1.0]]))
    assert 0.02 * wild == pytest.approx(0.04, rel=0.3)
    assert calm < 0.2


def test_where_all_deviate_alike_none_gets_a_factor() -> None:
    rows, surprises = _surprises((0.1, 0.1), 400)
    scatter = Scatter(CODEC)

    scatter.fit(rows, surprises, np.full(400, 0.0004), 0.01, np.ones(400))

    assert scatter(rows).tolist() == [1.0] * 400


def test_few_arms_prove_nothing() -> None:
    rows, surprises = _surprises((0.02, 0.2), 10)
    scatter = Scatter(CODEC)

    scatter.fit(rows, surprises, np.full(10, 0.0004), 0.02, np.ones(10))

    assert scatter(rows).tolist() == [1.0] * 10
