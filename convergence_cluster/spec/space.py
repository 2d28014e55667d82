"""The search space of a study in the domain's words."""

from collections.abc import Mapping, Sequence
from typing import Final

from convergence_cluster.domain.identity import Configuration, Json, canonical_json
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.spec.problems import Problem, shown, suggestion
from convergence_cluster.spec.schema_search import ParameterSection, SearchSpaceSection

LOG_FACTOR: Final = 1000.0
"""max / min from which a range without a step is searched by ratios, unless the file says `log: false`."""

REAL: Final = frozenset({None, "float", "continuous"})
"""Types of a range whose values have no step of their own."""

SLACK: Final = 1e-6
"""Share of a step by which a decimal fraction may miss the grid."""

_ROOT = ("search_space", "parameters")


def to_search_space(
    section: SearchSpaceSection,
    *,
    prompts: Mapping[str, Sequence[str]] | None = None,
    candidates: Sequence[Configuration] | None = None,
) -> tuple[SearchSpace, list[Problem]]:
    """Return the space, and what is wrong with it; the space is of use only where nothing is.

    `prompts` gives the file names for each parameter with a `template`, `candidates` the configurations of a file.
    """
    by_name = {
        name: to_parameter(name, given, (prompts or {}).get(name, ())) for name, given in section.parameters.items()
    }
    if candidates is not None and not by_name:
        by_name = {parameter.name: parameter for parameter in described_by(candidates)}
    problems = [problem for parameter in by_name.values() for problem in _when_problems(parameter, by_name)]
    ordered, cycle = _in_order(list(by_name.values()))
    if cycle:
        message = f"the conditions of {', '.join(cycle)} need each other; expected one that always applies"
        problems.append(Problem(path=(*_ROOT, cycle[0], "when"), message=message))
    chosen = None if candidates is None else tuple(candidates)
    return SearchSpace(parameters=tuple(ordered), candidates=chosen), problems


def to_parameter(name: str, given: ParameterSection, files: Sequence[str] = ()) -> Parameter:
    """Return one parameter; `files` are its values where it is a prompt."""
    when = None if given.when is None else dict(given.when)
    if given.template is not None:
        return Parameter(name=name, kind=ParameterKind.CATEGORICAL, values=tuple(files), when=when)
    if given.values is not None:
        return _of_values(name, given.values, given.type, when)
    assert given.min is not None
    assert given.max is not None
    step = given.step or (None if given.type in REAL else 1.0)
    is_wide = given.min > 0 and given.max / given.min >= LOG_FACTOR
    can_be_log = step is None or (given.is_whole and step == 1)
    return Parameter(
        name=name,
        kind=ParameterKind.INTEGER if given.is_whole else ParameterKind.CONTINUOUS,
        low=given.min,
        high=given.max if step is None else _last(given.min, given.max, step),
        step=step,
        log=is_wide and can_be_log if given.log is None else given.log,
        when=when,
    )


def described_by(candidates: Sequence[Configuration]) -> list[Parameter]:
    """Return the parameters that configurations imply: numbers are ordinal, anything else is categorical."""
    values: dict[str, dict[str, Json]] = {}
    for candidate in candidates:
        for name, value in candidate.items():
            values.setdefault(name, {}).setdefault(canonical_json(value), value)
    parameters = []
    for name, distinct in values.items():
        found = tuple(distinct.values())
        is_ordinal = len(found) > 1 and all(is_number(value) for value in found)
        kind = ParameterKind.ORDINAL if is_ordinal else ParameterKind.CATEGORICAL
        parameters.append(Parameter(name=name, kind=kind, values=tuple(sorted(found)) if is_ordinal else found))
    return parameters


def is_number(value: Json) -> bool:
    """Say whether a JSON value is a number; flags are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def takes(parameter: Parameter, value: Json) -> bool:
    """Say whether a value is one that a parameter can have."""
    if parameter.kind in {ParameterKind.CATEGORICAL, ParameterKind.ORDINAL}:
        return canonical_json(value) in {canonical_json(each) for each in parameter.values}
    if not is_number(value) or not parameter.low <= value <= parameter.high:
        return False
    n_steps = 0.0 if parameter.step is None else (value - parameter.low) / parameter.step
    return bool(abs(n_steps - round(n_steps)) < SLACK)


def allowed(parameter: Parameter) -> str:
    """Return in words what a parameter can be."""
    if parameter.kind in {ParameterKind.CATEGORICAL, ParameterKind.ORDINAL}:
        return f"one of {shown(list(parameter.values))}"
    step = "" if parameter.step is None else f" in steps of {parameter.step:g}"
    kind = "a whole number" if parameter.kind is ParameterKind.INTEGER else "a number"
    return f"{kind} from {parameter.low:g} to {parameter.high:g}{step}"


def _of_values(
    name: str, values: tuple[Json, ...], kind: str | None, when: Mapping[str, tuple[Json, ...]] | None
) -> Parameter:
    numeric = all(is_number(value) for value in values)
    if kind in {"float", "continuous"}:
        values = tuple(float(value) for value in values)
    elif kind in {"int", "integer"}:
        values = tuple(int(value) for value in values)
    rising = numeric and len(values) > 1 and list(values) == sorted(values)
    is_ordinal = numeric and kind != "categorical" and (rising if kind is None else True)
    return Parameter(
        name=name,
        kind=ParameterKind.ORDINAL if is_ordinal else ParameterKind.CATEGORICAL,
        values=tuple(sorted(values)) if is_ordinal else values,
        when=when,
    )


def _last(low: float, high: float, step: float) -> float:
    """Return the last value of a grid, so that no library has to round the range."""
    return float(f"{low + int((high - low) / step + 1e-9) * step:.12g}")


def _when_problems(parameter: Parameter, by_name: Mapping[str, Parameter]) -> list[Problem]:
    problems = []
    for name, values in (parameter.when or {}).items():
        path = (*_ROOT, parameter.name, "when", name)
        if name not in by_name:
            problems.append(Problem(path=path, message=f"no such parameter{suggestion(name, by_name)}"))
            continue
        for value in values:
            if not takes(by_name[name], value):
                message = f"{shown(value)}: {name} can't have this value; expected {allowed(by_name[name])}"
                problems.append(Problem(path=path, message=message))
        if not values:
            problems.append(Problem(path=path, message="expected at least one value"))
    return problems


def _in_order(parameters: Sequence[Parameter]) -> tuple[list[Parameter], list[str]]:
    """Return parameters so that conditions name earlier ones, and the names of those that need each other."""
    names = {parameter.name for parameter in parameters}
    waiting, ordered, placed = list(parameters), list[Parameter](), set[str]()
    while waiting:
        ready = next((p for p in waiting if set(p.when or ()) & names <= placed), None)
        if ready is None:
            return ordered, [parameter.name for parameter in waiting]
        waiting.remove(ready)
        ordered.append(ready)
        placed.add(ready.name)
    return ordered, []
