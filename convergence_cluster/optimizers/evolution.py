"""Evolution: new rows of genes from the rows of good arms.

Each operator takes parents, best first, and returns children that still need `Codec.repair`. Source: Storn & Price 1997
(difference); Syswerda 1989 (uniform crossover).
"""

from collections.abc import Callable

import numpy as np

from convergence_cluster.optimizers.genome import Codec, Rows

Operator = Callable[[Codec, Rows, int, np.random.Generator], Rows]


def random_rows(codec: Codec, parents: Rows, n: int, rng: np.random.Generator) -> Rows:
    """Return uniform draws from the whole space, whatever the parents."""
    del parents
    return codec.random(n, rng)


def mutated(codec: Codec, parents: Rows, n: int, rng: np.random.Generator) -> Rows:
    """Return parents with at least one gene drawn anew: one on average, seldom many."""
    children = _picked(parents, n, rng)
    n_genes = children.shape[1]
    change = rng.random(children.shape) < 1.0 / n_genes
    change[np.arange(n), rng.integers(n_genes, size=n)] = True
    return np.where(change, codec.random(n, rng), children)


def moved(codec: Codec, parents: Rows, n: int, rng: np.random.Generator) -> Rows:
    """Return parents with ordered genes moved a little: a level or two, or a normal step of a random scale."""
    children = _picked(parents, n, rng)
    scale = 10.0 ** rng.uniform(-2.0, -0.5, size=n)
    ordered = [j for j, gene in enumerate(codec.genes) if gene.is_real or gene.places is not None]
    if not ordered:
        return mutated(codec, parents, n, rng)
    change = rng.random((n, len(ordered))) < max(0.5, 1.0 / len(ordered))
    change[np.arange(n), rng.integers(len(ordered), size=n)] = True
    for k, j in enumerate(ordered):
        levels = codec.genes[j].levels
        if levels is None:
            step = scale * rng.standard_normal(n)
        else:
            step = rng.choice([-1.0, 1.0], size=n) * (1 + (rng.random(n) < scale))
        children[:, j] += np.where(change[:, k], step, 0.0)
    return children


def crossed(codec: Codec, parents: Rows, n: int, rng: np.random.Generator) -> Rows:
    """Return children that take each gene from one of two parents."""
    del codec
    left, right = _picked(parents, n, rng), _picked(parents, n, rng)
    return np.where(rng.integers(2, size=left.shape) == 0, left, right)


def differed(codec: Codec, parents: Rows, n: int, rng: np.random.Generator) -> Rows:
    """Return parents plus a part of the difference of two others; levels without order come from the second."""
    start, left, right = (_picked(parents, n, rng) for _ in range(3))
    children = start.copy()
    factor = rng.uniform(0.3, 0.9, size=n)
    for j, gene in enumerate(codec.genes):
        if gene.is_real or gene.places is not None:
            children[:, j] = start[:, j] + factor * (left[:, j] - right[:, j])
        else:
            other = (left[:, j] != right[:, j]) & (rng.random(n) < factor)
            children[:, j] = np.where(other, left[:, j], start[:, j])
    return children


BREEDING: dict[str, Operator] = {
    "random": random_rows,
    "mutation": mutated,
    "local": moved,
    "crossover": crossed,
    "difference": differed,
}


def _picked(parents: Rows, n: int, rng: np.random.Generator) -> Rows:
    """Draw parents with weights that fall linearly with rank."""
    weights = np.arange(len(parents), 0, -1, dtype=float)
    return parents[rng.choice(len(parents), size=n, p=weights / weights.sum())]
