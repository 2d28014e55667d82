"""The configuration that changes are measured against."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from convergence_cluster.domain.identity import Configuration, Json, canonical_json
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.spec.problems import Problem, nearest, shown, suggestion
from convergence_cluster.spec.space import allowed, takes

IDLE: Final = "does not apply to the rest of this configuration, by its `when`; leave it out"

_PATH = ("search_space", "baseline")


def baseline(space: SearchSpace, given: Mapping[str, Json] | None) -> tuple[Configuration, list[Problem]]:
    """Return the baseline of a study, completed with defaults, and what is wrong with it."""
    if space.candidates is not None:
        return _of_candidates(space.candidates, given)
    wanted = dict(given or {})
    problems = [
        Problem(path=(*_PATH, name), message=f"no such parameter{suggestion(name, [p.name for p in space.parameters])}")
        for name in wanted
        if name not in {parameter.name for parameter in space.parameters}
    ]
    chosen: dict[str, Json] = {}
    for parameter in space.parameters:
        if parameter.applies(chosen):
            chosen[parameter.name] = wanted.get(parameter.name, default_value(parameter))
        elif parameter.name in wanted:
            problems.append(Problem(path=(*_PATH, parameter.name), message=IDLE))
    return chosen, problems + configuration_problems(chosen, space.parameters, _PATH)


def default_value(parameter: Parameter) -> Json:
    """Return the first value of a category, or the middle of numbers (of their logarithms where `log`), on the grid."""
    if parameter.kind is ParameterKind.CATEGORICAL:
        return parameter.values[0] if parameter.values else None
    if parameter.kind is ParameterKind.ORDINAL:
        return parameter.values[(len(parameter.values) - 1) // 2]
    low, high = parameter.low, parameter.high
    middle = math.exp((math.log(low) + math.log(high)) / 2) if parameter.log else (low + high) / 2
    if parameter.step is not None:
        middle = low + math.floor((middle - low) / parameter.step + 1e-9) * parameter.step
    return round(middle) if parameter.kind is ParameterKind.INTEGER else min(max(float(f"{middle:.12g}"), low), high)


def configuration_problems(
    configuration: Configuration, parameters: Sequence[Parameter], path: tuple[str | int, ...]
) -> list[Problem]:
    """Return what is wrong with the values of a configuration whose names are known."""
    problems = []
    for parameter in parameters:
        value = configuration.get(parameter.name)
        if parameter.name in configuration and not takes(parameter, value):
            near = (
                nearest(value, [v for v in parameter.values if isinstance(v, str)]) if isinstance(value, str) else None
            )
            hint = f"; did you mean {near!r}?" if near is not None else ""
            message = f"{shown(value)}: expected {allowed(parameter)}{hint}"
            problems.append(Problem(path=(*path, parameter.name), message=message))
    return problems


def _of_candidates(
    candidates: Sequence[Configuration], given: Mapping[str, Json] | None
) -> tuple[Configuration, list[Problem]]:
    if given is None:
        return candidates[0], []
    for candidate in candidates:
        if canonical_json(candidate) == canonical_json(given):
            return candidate, []
    return given, [Problem(path=_PATH, message=f"{shown(given)}: expected one of the candidates")]
