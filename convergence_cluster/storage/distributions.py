"""The search space in Optuna's words: one distribution per parameter, and values as Optuna stores them."""

from dataclasses import dataclass
from math import floor

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from convergence_cluster.domain.identity import Configuration, Json, canonical_json, digest
from convergence_cluster.domain.space import Parameter, ParameterKind

_MAX_LABEL = 120
"""Longer choices (prompts) are cut and get a digest, because Optuna repeats all choices in every trial."""
_ON_GRID = 1e-8
"""How far from a multiple of the step Optuna still takes a value for one, in steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dimension:
    """One parameter as Optuna stores it."""

    distribution: BaseDistribution
    _json: str
    _positions: dict[str, int]

    def stored(self, value: Json) -> tuple[float, str] | None:
        """Return the number and the distribution's JSON for a value; None where Optuna cannot hold it.

        A number outside the range or off the grid gets a distribution just wide enough, which Optuna takes for the same
        parameter.
        """
        if isinstance(self.distribution, CategoricalDistribution):
            position = self._positions.get(canonical_json(value))
            return None if position is None else (float(position), self._json)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        assert isinstance(self.distribution, FloatDistribution | IntDistribution)
        widened = _widened(self.distribution, float(value))
        if widened is None:
            return None
        return float(value), self._json if widened is self.distribution else distribution_to_json(widened)


def dimension(parameter: Parameter, baseline: Configuration | None) -> Dimension:
    """Return the dimension of a parameter; a categorical one also holds the baseline's own value."""
    match parameter.kind:
        case ParameterKind.INTEGER:
            return _dimension(_integer(parameter))
        case ParameterKind.CONTINUOUS:
            return _dimension(_continuous(parameter))
        case ParameterKind.CATEGORICAL | ParameterKind.ORDINAL:
            extra = [baseline[parameter.name]] if baseline is not None and parameter.name in baseline else []
            choices = {canonical_json(value): value for value in [*parameter.values, *extra]}
            labels = tuple(_label(value) for value in choices.values())
            return _dimension(CategoricalDistribution(labels), {text: n for n, text in enumerate(choices)})


def _dimension(distribution: BaseDistribution, positions: dict[str, int] | None = None) -> Dimension:
    return Dimension(distribution=distribution, _json=distribution_to_json(distribution), _positions=positions or {})


def _integer(parameter: Parameter) -> IntDistribution:
    log = parameter.log and parameter.low >= 1
    low, step = round(parameter.low), 1 if log else max(1, round(parameter.step or 1))
    high = low + floor((parameter.high - low) / step + _ON_GRID) * step
    return IntDistribution(low, high, log=log, step=step)


def _continuous(parameter: Parameter) -> FloatDistribution:
    if parameter.log and parameter.low > 0:
        return FloatDistribution(parameter.low, parameter.high, log=True)
    grid = parameter.grid()
    high = parameter.high if grid is None else float(grid[-1])
    return FloatDistribution(parameter.low, high, step=parameter.step)


def _widened(
    distribution: FloatDistribution | IntDistribution, value: float
) -> FloatDistribution | IntDistribution | None:
    low, high, step = min(distribution.low, value), max(distribution.high, value), distribution.step
    is_on_grid = (
        step is None or abs((value - distribution.low) / step - round((value - distribution.low) / step)) < _ON_GRID
    )
    if (low, high) == (distribution.low, distribution.high) and is_on_grid:
        return distribution
    log = distribution.log and low > 0
    if isinstance(distribution, FloatDistribution):
        return FloatDistribution(low, high, log=log)
    if not value.is_integer():
        return None
    return IntDistribution(int(low), int(high), log=log)


def _label(value: Json) -> bool | int | float | str | None:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else canonical_json(value)
    return text if len(text) <= _MAX_LABEL else f"{text[:_MAX_LABEL]}... #{digest(value)[:8]}"
