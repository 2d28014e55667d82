"""Configurations as rows of numbers, so that thousands of them are handled at once.

A gene is the index of a level (categorical, ordinal, small grids) or a place in [0, 1] (wide or continuous ranges); NaN
where a conditional parameter does not apply.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import Configuration, Json, canonical_json
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace

MAX_LEVELS = 64
"""A numeric grid of more values than this is treated as a range."""

Rows = NDArray[np.float64]
"""Shape (n, n_genes)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gene:
    """How one parameter is written as a number."""

    name: str
    levels: tuple[Json, ...] | None
    """The values by index; None: a place in [0, 1]."""
    places: tuple[float, ...] | None
    """Where ordered levels lie in [0, 1]; None: the levels have no order."""
    parameter: Parameter
    index_of: Mapping[str, int]

    @property
    def is_real(self) -> bool:
        """Say whether the gene is a place in [0, 1] rather than a level's index."""
        return self.levels is None

    def encode(self, value: Json) -> float:
        """Return the gene of a value; NaN for a value that this gene cannot write."""
        if self.levels is not None:
            return float(self.index_of.get(canonical_json(value), math.nan))
        if isinstance(value, bool) or not isinstance(value, int | float):
            return math.nan
        low, high = _ends(self.parameter)
        number = math.log(value) if self.parameter.log else float(value)
        return min(max((number - low) / (high - low), 0.0), 1.0) if high > low else 0.0

    def decode(self, gene: float) -> Json:
        """Return the value that a gene stands for, rounded to the parameter's step."""
        if self.levels is not None:
            return self.levels[int(gene)]
        low, high = _ends(self.parameter)
        number = low + min(max(gene, 0.0), 1.0) * (high - low)
        return _rounded(self.parameter, math.exp(number) if self.parameter.log else number)


class Codec:
    """The genes of a search space, in its order of parameters."""

    def __init__(self, space: SearchSpace) -> None:
        self.genes = tuple(_gene(parameter, space.candidates) for parameter in space.parameters)
        self._when = [_conditions(gene, self.genes) for gene in self.genes]

    def encode(self, configurations: Sequence[Configuration]) -> Rows:
        """Return the rows of configurations; what a configuration lacks is NaN."""
        rows = np.full((len(configurations), len(self.genes)), np.nan)
        for j, gene in enumerate(self.genes):
            for i, configuration in enumerate(configurations):
                if gene.name in configuration:
                    rows[i, j] = gene.encode(configuration[gene.name])
        return rows

    def decode(self, row: NDArray[np.float64]) -> Configuration:
        """Return the configuration of one row."""
        return {gene.name: gene.decode(float(x)) for gene, x in zip(self.genes, row, strict=True) if not np.isnan(x)}

    def random(self, n: int, rng: np.random.Generator) -> Rows:
        """Return uniform draws of every gene, before conditions are applied."""
        rows = np.empty((n, len(self.genes)))
        for j, gene in enumerate(self.genes):
            rows[:, j] = rng.random(n) if gene.levels is None else rng.integers(len(gene.levels), size=n)
        return rows

    def repair(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Return the rows with every gene that applies filled and every other NaN."""
        fixed, fill = rows.copy(), self.random(len(rows), rng)
        for j in range(len(self.genes)):
            applies = self._applies(fixed, j)
            column = np.where(np.isnan(fixed[:, j]), fill[:, j], fixed[:, j])
            fixed[:, j] = np.where(applies, self._snapped(column, j), np.nan)
        return fixed

    def enumerate(self, limit: int) -> Rows | None:
        """Return every configuration of a finite space, or None if there are more than `limit`."""
        rows: list[list[float]] = [[]]
        for j, gene in enumerate(self.genes):
            if gene.levels is None:
                return None
            partial = np.array([row + [math.nan] * (len(self.genes) - j) for row in rows])
            applies = self._applies(partial, j)
            rows = list(
                itertools.chain.from_iterable(
                    ([*row, float(k)] for k in (range(len(gene.levels)) if on else (math.nan,)))
                    for row, on in zip(rows, applies, strict=True)
                )
            )
            if len(rows) > limit:
                return None
        return np.array(rows).reshape(len(rows), len(self.genes))

    def _applies(self, rows: Rows, j: int) -> NDArray[np.bool_]:
        applies = np.ones(len(rows), dtype=bool)
        for other, allowed in self._when[j]:
            gene = self.genes[other]
            if gene.levels is not None:
                applies &= np.isin(
                    rows[:, other], [float(gene.index_of[key]) for key in allowed if key in gene.index_of]
                )
            else:
                applies &= np.array(
                    [not np.isnan(x) and canonical_json(gene.decode(float(x))) in allowed for x in rows[:, other]],
                    dtype=bool,
                )
        return applies

    def _snapped(self, column: NDArray[np.float64], j: int) -> NDArray[np.float64]:
        gene = self.genes[j]
        if gene.levels is None:
            return _on_grid(gene.parameter, np.clip(column, 0.0, 1.0))
        return np.clip(np.rint(column), 0, len(gene.levels) - 1) + 0.0  # -0 becomes 0


def _gene(parameter: Parameter, candidates: tuple[Configuration, ...] | None) -> Gene:
    levels = _levels(parameter, candidates)
    places = None
    if levels is not None and parameter.kind is not ParameterKind.CATEGORICAL:
        places = _places(parameter, levels)
    index_of = {canonical_json(value): k for k, value in enumerate(levels or ())}
    return Gene(name=parameter.name, levels=levels, places=places, parameter=parameter, index_of=index_of)


def _levels(parameter: Parameter, candidates: tuple[Configuration, ...] | None) -> tuple[Json, ...] | None:
    ordered = parameter.kind is not ParameterKind.CATEGORICAL
    if candidates is not None:
        seen = {canonical_json(c[parameter.name]): c[parameter.name] for c in candidates if parameter.name in c}
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in seen.values())
        if ordered and numbers:
            return tuple(sorted(seen.values()))
        return tuple(seen.values())
    grid = parameter.grid()
    if grid is None and parameter.kind is ParameterKind.INTEGER and parameter.high - parameter.low < MAX_LEVELS:
        grid = tuple(range(math.ceil(parameter.low), math.floor(parameter.high) + 1))
    if grid is None or (len(grid) > MAX_LEVELS and parameter.kind in {ParameterKind.INTEGER, ParameterKind.CONTINUOUS}):
        return None
    return grid


def _places(parameter: Parameter, levels: tuple[Json, ...]) -> tuple[float, ...] | None:
    if not all(isinstance(v, int | float) for v in levels):
        return None
    ranks = [k / max(len(levels) - 1, 1) for k in range(len(levels))]
    if parameter.kind is ParameterKind.ORDINAL:
        return tuple(ranks)
    values = [math.log(v) if parameter.log and v > 0 else float(v) for v in levels]
    width = (max(values) - min(values)) if values else 0.0
    return tuple((v - min(values)) / width if width > 0 else 0.0 for v in values)


def _ends(parameter: Parameter) -> tuple[float, float]:
    if parameter.log:
        return math.log(parameter.low), math.log(parameter.high)
    return parameter.low, parameter.high


def _step(parameter: Parameter) -> float | None:
    return 1.0 if parameter.step is None and parameter.kind is ParameterKind.INTEGER else parameter.step


def _on_grid(parameter: Parameter, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the places of the values that places in [0, 1] stand for."""
    step, (low, high) = _step(parameter), _ends(parameter)
    if step is None or high <= low:
        return places
    numbers = low + places * (high - low)
    numbers = np.exp(numbers) if parameter.log else numbers
    last = int((parameter.high - parameter.low) / step + 1e-9)
    numbers = parameter.low + np.clip(np.rint((numbers - parameter.low) / step), 0, last) * step
    return np.asarray(((np.log(numbers) if parameter.log else numbers) - low) / (high - low))


def _rounded(parameter: Parameter, number: float) -> Json:
    step = _step(parameter)
    if step is not None:
        last = int((parameter.high - parameter.low) / step + 1e-9)
        number = parameter.low + min(max(round((number - parameter.low) / step), 0), last) * step
    if parameter.kind is ParameterKind.INTEGER:
        return round(number)
    digits = 6 if step is None else 12
    return min(max(float(f"{number:.{digits}g}"), parameter.low), parameter.high)


def _conditions(gene: Gene, genes: tuple[Gene, ...]) -> list[tuple[int, frozenset[str]]]:
    names = [other.name for other in genes]
    when = gene.parameter.when or {}
    return [
        (names.index(name), frozenset(canonical_json(value) for value in allowed)) for name, allowed in when.items()
    ]
