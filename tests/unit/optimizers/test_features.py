"""Features of configurations."""

import time

import numpy as np
import pytest

from convergence_cluster.domain.identity import Configuration
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.features import MAX_PLACES, bases
from convergence_cluster.optimizers.genome import Codec


def _pool(kind: ParameterKind, n: int) -> Codec:
    candidates: tuple[Configuration, ...] = tuple({"x": k, "y": k % 3} for k in range(n))
    parameters = (
        Parameter(name="x", kind=kind, values=tuple(range(n))),
        Parameter(name="y", kind=ParameterKind.CATEGORICAL, values=(0, 1, 2)),
    )
    return Codec(SearchSpace(parameters=parameters, candidates=candidates))


@pytest.mark.parametrize("kind", [ParameterKind.CATEGORICAL, ParameterKind.ORDINAL])
def test_a_pool_of_thousands_of_values_costs_no_table_of_their_square(kind: ParameterKind) -> None:
    codec = _pool(kind, 6000)
    rows = codec.encode([{"x": k, "y": k % 3} for k in range(6000)])
    began = time.process_time()

    made = bases(codec, rows)

    assert time.process_time() - began < 2.0
    assert sum(basis.table.size for basis in made) < 100_000


def test_many_ordered_values_have_nearly_the_features_that_few_have() -> None:
    few, many = _pool(ParameterKind.ORDINAL, MAX_PLACES), _pool(ParameterKind.ORDINAL, MAX_PLACES + 1)
    features = []
    for codec in (few, many):
        n = len(codec.genes[0].levels or ())
        rows = codec.encode([{"x": k, "y": k % 3} for k in range(n)])
        table = bases(codec, rows)[0](rows[:, 0])
        features.append(table[np.linspace(0, n - 1, 9).round().astype(int)])

    kernels = [f @ f.T for f in features]

    assert np.allclose(kernels[0], kernels[1], atol=0.05 * np.abs(kernels[0]).max())
