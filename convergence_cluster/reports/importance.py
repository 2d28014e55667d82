"""How much of the difference between configurations each parameter explains by itself."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.identity import Json, canonical_json
from convergence_cluster.domain.search import ArmEstimate, Interval
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.reports.intervals import student_quantile
from convergence_cluster.reports.wording import finite, number, value_text

MIN_ARMS = 8
MAX_LEVELS = 12
"""More different numbers are gathered in ranges."""
MAX_NAMES = 60
"""Of more different names, the rarest are taken as one."""
N_BINS = 6
N_FOLDS = 20
_DEVIATIONS = 3.29
"""Width of a central 90 % interval of a normal distribution, in standard deviations."""

METHOD = (
    "An additive model (one effect per parameter value, shrunk towards zero) is fitted to the posterior mean scores, "
    "each configuration weighted by its precision. A parameter's share is the variance of its effects over its values, "
    "less what noise alone would give, divided by the variance of all parameters plus what they do only together. "
    "Intervals: 90 %, jackknife over groups of configurations. The search visits good regions more often, so a "
    "parameter that only matters elsewhere can be understated."
)

Matrix = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class LevelEffect:
    """One value, or range of values, of a parameter."""

    label: str
    effect: float
    """On the score, relative to the mean of the parameter's levels."""
    n_arms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Importance:
    """One parameter's share of the variance between configurations."""

    name: str
    share: Interval
    """In [0, 1]."""
    levels: tuple[LevelEffect, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Column:
    parameter: int
    label: str
    members: tuple[int, ...]
    """Rows of the configurations that have this level."""


def importances(space: SearchSpace, arms: Sequence[ArmEstimate]) -> tuple[Importance, ...]:
    """Return the parameters by falling share; empty where fewer than 8 configurations or no two levels were scored.

    Source: main effects of the functional ANOVA, Hutter, Hoos, Leyton-Brown, ICML 2014, section 3, additive model.
    """
    scored = [arm for arm in arms if arm.n_calls and finite(arm.score.mean) is not None]
    columns = [c for i, p in enumerate(space.parameters) for c in _columns(i, p, scored)]
    if len(scored) < MIN_ARMS or not columns:
        return ()
    design = np.zeros((len(scored), len(columns)))
    for index, column in enumerate(columns):
        design[list(column.members), index] = 1.0
    means = np.array([arm.score.mean for arm in scored])
    noise = np.array([_variance(arm.score) for arm in scored])
    owners = np.array([column.parameter for column in columns])
    shares, effects = _shares(design, means, noise, owners)
    errors = _errors(design, means, noise, owners)
    found = [
        Importance(
            name=space.parameters[parameter].name,
            share=_interval(float(shares[place]), float(errors[place])),
            levels=_levels(
                space.parameters[parameter],
                [
                    LevelEffect(label=c.label, effect=float(effects[j]), n_arms=len(c.members))
                    for j, c in enumerate(columns)
                    if c.parameter == parameter
                ],
            ),
        )
        for place, parameter in enumerate(np.unique(owners))
    ]
    return tuple(sorted(found, key=lambda item: (-item.share.mean, item.name)))


def _levels(parameter: Parameter, levels: list[LevelEffect]) -> tuple[LevelEffect, ...]:
    """Return numbers in their order, names by falling effect."""
    if parameter.kind is not ParameterKind.CATEGORICAL:
        return tuple(levels)
    return tuple(sorted(levels, key=lambda level: -level.effect))


def _columns(index: int, parameter: Parameter, arms: Sequence[ArmEstimate]) -> list[_Column]:
    name = parameter.name
    having = [(row, arm.configuration[name]) for row, arm in enumerate(arms) if name in arm.configuration]
    levels: list[tuple[int, object, Json]] = [(row, canonical_json(value), value) for row, value in having]
    frequent = Counter(level for _, level, _ in levels)
    if parameter.kind is not ParameterKind.CATEGORICAL and len(frequent) > MAX_LEVELS:
        levels = [(row, *_bin(parameter, value)) for row, value in having]
    if parameter.kind is ParameterKind.CATEGORICAL and len(frequent) > MAX_NAMES:
        kept = {level for level, _ in frequent.most_common(MAX_NAMES)}
        levels = [item if item[1] in kept else (item[0], "", "(all others)") for item in levels]
    rows: dict[object, list[int]] = {}
    labels: dict[object, Json] = {}
    for row, level, label in levels:
        rows.setdefault(level, []).append(row)
        labels[level] = label
    if len(rows) < 2:  # noqa: PLR2004 - one level explains nothing
        return []
    order = sorted(rows, key=lambda level: _order(parameter, level))
    return [_Column(parameter=index, label=value_text(labels[level]), members=tuple(rows[level])) for level in order]


def _order(parameter: Parameter, level: object) -> tuple[float, str]:
    if parameter.kind is ParameterKind.CATEGORICAL:
        return (0.0, str(level))
    return (float(str(level)), "") if not isinstance(level, int) else (float(level), "")


def _bin(parameter: Parameter, value: Json) -> tuple[int, str]:
    values = [float(v) for v in parameter.values] or [parameter.low, parameter.high]
    low, high = min(values), max(values)
    scale = math.log if parameter.log and low > 0 else float
    back = math.exp if scale is math.log else float
    start, width = scale(low), (scale(high) - scale(low)) / N_BINS
    index = 0 if width <= 0 else min(N_BINS - 1, max(0, int((scale(float(value)) - start) / width)))
    return index, f"{number(back(start + index * width))} to {number(back(start + (index + 1) * width))}"


def _variance(interval: Interval) -> float:
    width = finite(interval.high - interval.low)
    return max((0.5 if width is None else width) / _DEVIATIONS, 1e-4) ** 2


def _shares(design: Matrix, means: Matrix, noise: Matrix, owners: NDArray[np.int64]) -> tuple[Matrix, Matrix]:
    """Return the share of each parameter, shape (n_parameters,), and the centred effects, shape (n_levels,).

    A share may come out below zero where noise alone would explain more than was seen.
    """
    spread = max(float(np.var(means)), 1e-12)
    weights = 1.0 / (noise + 0.1 * spread)
    centred = means - np.average(means, weights=weights)
    information = design.T @ (design * weights[:, None]) + np.eye(len(owners)) / spread
    shrunk = np.linalg.inv(information)
    effects = shrunk @ (design.T @ (weights * centred))
    covariance = shrunk - shrunk @ shrunk / spread  # of the estimate: shrinking leaves less of the noise
    residual = centred - design @ effects
    left = max(0.0, float(np.average(residual**2 - noise, weights=weights)))
    variances = []
    for parameter in np.unique(owners):
        own = owners == parameter
        n = int(own.sum())
        effects[own] -= effects[own].mean()
        block = covariance[np.ix_(own, own)]
        wiggle = (float(np.trace(block)) - float(block.sum()) / n) / n
        variances.append(float(np.mean(effects[own] ** 2)) - wiggle)
    total = sum(v for v in variances if v > 0) + left
    return np.array(variances) / total if total > 0 else np.zeros(len(variances)), effects


def _errors(design: Matrix, means: Matrix, noise: Matrix, owners: NDArray[np.int64]) -> Matrix:
    """Return the jackknife's standard error of each share: every fold of configurations left out in turn."""
    folds = np.arange(len(means)) % min(N_FOLDS, len(means))
    left_out = np.array(
        [_shares(design[folds != f], means[folds != f], noise[folds != f], owners)[0] for f in set(folds)]
    )
    n = len(left_out)
    deviations: Matrix = np.sqrt((n - 1) / n * np.sum((left_out - left_out.mean(axis=0)) ** 2, axis=0))
    return deviations * student_quantile(n - 1)


def _interval(share: float, reach: float) -> Interval:
    mean = min(1.0, max(0.0, share))
    return Interval(mean=mean, low=max(0.0, mean - reach), high=min(1.0, mean + reach))
