"""An explicit list of configurations to choose from."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from convergence_cluster.domain.identity import Configuration, Json, canonical_json
from convergence_cluster.domain.space import Parameter
from convergence_cluster.spec.baseline import IDLE, configuration_problems
from convergence_cluster.spec.document import Document
from convergence_cluster.spec.files import Row, read_rows
from convergence_cluster.spec.nodes import scalar
from convergence_cluster.spec.problems import Problem, shown, suggestion

_PATH = ("search_space", "candidates")


def read_candidates(path: Path, name: str) -> tuple[list[Row], list[Problem]]:
    """Return the configurations of a file with their lines, and what is wrong; messages call the file `name`.

    Raises:
        SpecError: the file can't be read or is not well-formed.
    """
    rows = read_rows(path, name)
    if isinstance(rows, Document):
        if not isinstance(rows.value, list):
            return [], [rows.problem((), f"{shown(rows.value)}: expected a list of configurations")]
        rows = [(rows.line((index,)), value) for index, value in enumerate(rows.value)]
    elif path.suffix.lower() in {".csv", ".tsv"}:
        rows = [(line, {column: _cell(cell) for column, cell in row.items()}) for line, row in rows]
    problems = [
        Problem(path=(), file=name, line=line, message=f"{shown(row)}: expected a configuration (parameter: value)")
        for line, row in rows
        if not isinstance(row, Mapping) or not row or not all(key.strip() for key in row)
    ]
    if not rows:
        problems.append(Problem(path=(), file=name, line=1, message="no candidates; expected at least one"))
    return rows, problems


def distinct(candidates: Sequence[Configuration]) -> tuple[Configuration, ...]:
    """Return the configurations in their order, each once."""
    return tuple({canonical_json(candidate): candidate for candidate in candidates}.values())


def candidate_problems(rows: Sequence[Row], parameters: Sequence[Parameter], file: str) -> list[Problem]:
    """Return what is wrong with configurations, given parameters that describe them."""
    names = [parameter.name for parameter in parameters]
    problems: list[Problem] = []
    for index, (line, row) in enumerate(rows):
        path = (*_PATH, index)
        found = configuration_problems(row, parameters, path)
        found += [
            Problem(path=(*path, name), message=f"no such parameter{suggestion(name, names)}")
            for name in row
            if name not in names
        ]
        found += _idle(row, parameters, path)
        problems += [Problem(path=problem.path, message=problem.message, file=file, line=line) for problem in found]
    return problems


def _idle(row: Configuration, parameters: Sequence[Parameter], path: tuple[str | int, ...]) -> list[Problem]:
    """Return the values of a configuration that its own other values leave without a meaning."""
    return [
        Problem(path=(*path, parameter.name), message=IDLE)
        for parameter in parameters
        if parameter.name in row and not parameter.applies(row)
    ]


def _cell(cell: str) -> Json:
    try:
        return scalar(cell.strip())
    except ValueError:
        return cell
