"""The test cases as every arm sees them: in one order, with one weight each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.search import KnownCase, SearchProblem


def case_order(n_cases: int, tags: Sequence[str] | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a random order in which every prefix holds each stratum in its due share, as nearly as possible.

    Within a stratum of m cases the k-th one (from 0) is placed at (k + u) / m with one u in [0, 1) per stratum:
    systematic sampling.
    """
    if tags is None:
        return rng.permutation(n_cases)
    places = np.empty(n_cases)
    for tag in sorted(set(tags)):
        members = rng.permutation([i for i, other in enumerate(tags) if other == tag])
        places[members] = (np.arange(len(members)) + rng.random()) / len(members)
    return np.argsort(places, kind="stable").astype(np.int64)


def known_first(order: NDArray[np.int64], known: Sequence[KnownCase]) -> NDArray[np.int64]:
    """Return an order in which cases that more arms of earlier studies have seen come first, else as before.

    That was their order there: so arms are called on the cases on which it is known how they did.
    """
    n_arms = np.zeros(len(order), dtype=np.int64)
    for case in known:
        n_arms[case.case] = case.n_arms
    return order[np.argsort(-n_arms[order], kind="stable")]


def case_weights(problem: SearchProblem) -> NDArray[np.float64]:
    """Return the weight of each case, shape (n_cases,); all 1 where the problem gives none."""
    return np.ones(problem.n_cases) if problem.case_weights is None else np.array(problem.case_weights, dtype=float)
