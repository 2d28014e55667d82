"""A table as a search problem: its rows are the candidates of a finite pool."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import Table
from convergence_cluster.domain.identity import Configuration, canonical_json
from convergence_cluster.domain.search import Direction, Objective, SearchProblem
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace

MAX_ORDINAL_VALUES = 40
"""A number with more different values than this is continuous."""

LOG_RATIO = 100.0
"""A positive number that spans more than this ratio is searched on a log scale."""

ABSENT = "absent"


def pool_problem(table: Table, **changes: Any) -> SearchProblem:
    """Return the problem of finding the best row; `changes` are further fields of it."""
    names = _kept_columns(table)
    candidates = tuple(_row(table, names, row) for row in range(len(table.score)))
    parameters = tuple(_parameter(name, _present(table.columns[name]), table.params.get(name, "id")) for name in names)
    fields: dict[str, Any] = {
        "space": SearchSpace(parameters=parameters, candidates=candidates),
        "n_cases": table.score.shape[1],
        "objectives": (Objective(name="score", direction=Direction.MAXIMIZE),),
        "max_repeats": table.n_repeats,
    }
    return SearchProblem(**(fields | changes))


def open_space(table: Table) -> SearchSpace:
    """Return the pool's parameters as an open space, for searches that cannot choose from a list.

    A parameter that some rows lack is categorical, absence being one of its values.
    """
    parameters = []
    for name in _kept_columns(table):
        values = table.columns[name]
        if None in values:
            kinds = tuple(sorted({ABSENT if value is None else str(value) for value in values}))
            parameters.append(Parameter(name=name, kind=ParameterKind.CATEGORICAL, values=kinds))
        else:
            parameters.append(_parameter(name, values, table.params.get(name, "id")))
    return SearchSpace(parameters=tuple(parameters))


class NearestRow:
    """Maps configurations of the open space to rows: every mismatch counts 1, a number its share of the range."""

    def __init__(self, table: Table) -> None:
        self._names = _kept_columns(table)
        self._coders = [_Coder(table.columns[name], table.params.get(name, "id")) for name in self._names]
        self.codes = np.column_stack([coder.codes for coder in self._coders])
        self._is_number = np.array([coder.is_number for coder in self._coders])

    def __call__(self, configuration: Configuration) -> int:
        """Return the nearest row; the first of equals."""
        code = [coder.encode(configuration.get(name)) for coder, name in zip(self._coders, self._names, strict=True)]
        return self.of_code(np.array(code))

    def of_code(self, code: NDArray[np.float64]) -> int:
        """Return the nearest row to a code of shape (n_columns,)."""
        gaps = np.abs(self.codes - code)
        return int(np.where(self._is_number, gaps, gaps > 0).sum(axis=1).argmin())

    @property
    def is_number(self) -> NDArray[np.bool_]:
        """Shape (n_columns,): whose codes are shares of a range, not labels."""
        return self._is_number


class _Coder:
    """One column as numbers: a share of the range, or the index of a label."""

    def __init__(self, values: Sequence[Any], kind: str) -> None:
        self.is_number = None not in values and _is_numeric(values, kind)
        if self.is_number:
            numbers = np.array(values, dtype=float)
            self._low, self._width = float(numbers.min()), float(np.ptp(numbers)) or 1.0
            self.codes = (numbers - self._low) / self._width
        else:
            labels = sorted({_label(value) for value in values})
            self._index = {label: float(index) for index, label in enumerate(labels)}
            self.codes = np.array([self._index[_label(value)] for value in values])

    def encode(self, value: Any) -> float:
        if self.is_number:
            return (float(value) - self._low) / self._width
        return self._index.get(_label(value), -1.0)


def _label(value: Any) -> str:
    return ABSENT if value is None else str(value)


def _kept_columns(table: Table) -> list[str]:
    """Return the parameters that tell rows apart, with the id as the last resort."""
    names = [n for n in table.params if n in table.columns and len({_label(v) for v in table.columns[n]}) > 1]
    texts = {canonical_json(_row(table, names, row)) for row in range(len(table.score))}
    return names if len(texts) == len(table.score) else [*names, "config_id"]


def _row(table: Table, names: Sequence[str], row: int) -> Configuration:
    typed = {name: _typed(table.columns[name][row], table.params.get(name, "id")) for name in names}
    return {name: value for name, value in typed.items() if value is not None}


def _typed(value: Any, kind: str) -> Any:
    return bool(value) if value is not None and kind.startswith("bool") else value


def _present(values: Sequence[Any]) -> list[Any]:
    return [value for value in values if value is not None]


def _is_numeric(values: Sequence[Any], kind: str) -> bool:
    said = kind.startswith(("int", "float", "ordinal", "log"))
    return said and all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _parameter(name: str, values: Sequence[Any], kind: str) -> Parameter:
    if not _is_numeric(values, kind):
        distinct = {canonical_json(_typed(value, kind)): _typed(value, kind) for value in values}
        return Parameter(name=name, kind=ParameterKind.CATEGORICAL, values=tuple(distinct[k] for k in sorted(distinct)))
    levels = tuple(sorted(set(values)))
    low, high = float(levels[0]), float(levels[-1])
    is_log = low > 0 and high / low > LOG_RATIO
    if len(levels) <= MAX_ORDINAL_VALUES:
        return Parameter(name=name, kind=ParameterKind.ORDINAL, values=levels, log=is_log, low=low, high=high)
    return Parameter(name=name, kind=ParameterKind.CONTINUOUS, low=low, high=high, log=is_log)
