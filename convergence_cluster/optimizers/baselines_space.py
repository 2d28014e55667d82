"""Ways through a search space without a model: one at random, or all of them in order."""

import math
from collections.abc import Container, Iterator
from dataclasses import replace

import numpy as np

from convergence_cluster.domain.identity import Configuration, Json, canonical_json
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace

GRID_LEVELS = 5
"""Values of a continuous parameter without a step in a grid: both ends and three between."""

MAX_REDRAWS = 64


def draw_configuration(space: SearchSpace, rng: np.random.Generator) -> Configuration:
    """Return one configuration, every parameter uniform over its values (log-uniform where `log`)."""
    if space.candidates is not None:
        return space.candidates[int(rng.integers(len(space.candidates)))]
    chosen: dict[str, Json] = {}
    for parameter in space.parameters:
        if parameter.applies(chosen):
            chosen[parameter.name] = _draw_value(parameter, rng)
    return chosen


def all_configurations(space: SearchSpace) -> Iterator[Configuration]:
    """Yield every configuration once, the last parameter varying fastest; continuous ones at `GRID_LEVELS` levels."""
    if space.candidates is not None:
        yield from space.candidates
    else:
        yield from _completions(space.parameters, {})


def is_finite(space: SearchSpace) -> bool:
    """Say whether `all_configurations` leaves nothing out."""
    return space.candidates is not None or not any(_is_endless(parameter) for parameter in space.parameters)


def grid_levels(parameter: Parameter) -> tuple[Json, ...]:
    """Return the values of a parameter in order, `GRID_LEVELS` of them where there is no end of them."""
    if not _is_endless(parameter):
        return (parameter if parameter.step is not None else replace(parameter, step=1.0)).grid() or ()
    low, high = parameter.low, parameter.high
    if parameter.log:
        low, high = math.log(low), math.log(high)
    levels = [low + (high - low) * k / (GRID_LEVELS - 1) for k in range(1, GRID_LEVELS - 1)]
    inner = [math.exp(level) for level in levels] if parameter.log else levels
    return (parameter.low, *inner, parameter.high)


class Unopened:
    """Finds configurations that no arm has yet. Its place in the space changes nothing but its speed."""

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._rest = all_configurations(space)
        self._next: Configuration | None = next(self._rest, None)

    def first(self, opened: Container[str]) -> Configuration | None:
        """Return the first configuration whose canonical text is not in `opened`; None: all are (or their levels).

        `opened` may only grow from one call to the next.
        """
        while self._next is not None and canonical_json(self._next) in opened:
            self._next = next(self._rest, None)
        return self._next

    def draw(self, opened: Container[str], rng: np.random.Generator) -> Configuration | None:
        """Return a random configuration that is not in `opened`; None, without a draw: there is none left."""
        if self.first(opened) is None and is_finite(self._space):
            return None
        for _ in range(MAX_REDRAWS):
            configuration = draw_configuration(self._space, rng)
            if canonical_json(configuration) not in opened:
                return configuration
        return self.first(opened)


def _is_endless(parameter: Parameter) -> bool:
    return parameter.kind is ParameterKind.CONTINUOUS and parameter.step is None


def _draw_value(parameter: Parameter, rng: np.random.Generator) -> Json:
    low, high = parameter.low, parameter.high
    if parameter.kind in {ParameterKind.CATEGORICAL, ParameterKind.ORDINAL}:
        return parameter.values[int(rng.integers(len(parameter.values)))]
    if parameter.log:
        drawn = float(np.clip(math.exp(rng.uniform(math.log(low), math.log(high))), low, high))
    else:
        drawn = float(rng.uniform(low, high))
    if _is_endless(parameter):
        return drawn
    step = parameter.step if parameter.step is not None else 1.0
    n_steps = int((high - low) / step + 1e-9)
    k = min(n_steps, round((drawn - low) / step)) if parameter.log else int(rng.integers(n_steps + 1))
    value = low + k * step
    return round(value) if parameter.kind is ParameterKind.INTEGER else float(f"{value:.12g}")


def _completions(parameters: tuple[Parameter, ...], chosen: dict[str, Json]) -> Iterator[Configuration]:
    if not parameters:
        yield dict(chosen)
        return
    first, rest = parameters[0], parameters[1:]
    if not first.applies(chosen):
        yield from _completions(rest, chosen)
        return
    for value in grid_levels(first):
        yield from _completions(rest, {**chosen, first.name: value})
