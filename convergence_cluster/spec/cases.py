"""Test cases from every shape they are written in.

A case is `{id, input, expected, assert, weight, tags, metadata, description}`; only an input is needed. Without the key
`input`, the keys that have no meaning of their own are the input. With it, they are kept in `metadata`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.identity import CaseId, Json, digest
from convergence_cluster.spec.assertions import read_asserts
from convergence_cluster.spec.document import Document
from convergence_cluster.spec.files import cell_value, read_rows
from convergence_cluster.spec.problems import Problem, shown
from convergence_cluster.spec.section import MAX_WEIGHT
from convergence_cluster.spec.space import is_number

DEFAULT_FILE: Final = "test_cases.json"
"""Read where the study names no cases."""

MIN_WEIGHT: Final = 1e-6
"""A case of less weight could not decide anything."""

_OWN_KEYS: Final = ("id", "input", "expected", "assert", "weight", "tags", "metadata", "description")


Line: TypeAlias = Callable[[], int]
"""Looks up a line number, which takes time and is only needed for messages."""

FindCase: TypeAlias = Callable[[CaseId], tuple[str, int]]
"""From a test case to its file and line; 0 where no line is known."""


def nowhere(_: CaseId) -> tuple[str, int]:
    """Return the place of a case that was not read from a file."""
    return "", 0


class Cases:
    """The cases of one source, and what is wrong with them."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._seen: dict[str, Line] = {}
        self.cases: list[TestCase] = []
        self.problems: list[Problem] = []

    def add(self, value: Json, line: Line, path: tuple[str | int, ...]) -> None:
        """Take one case, or note why not."""
        if not isinstance(value, Mapping):
            self.reject(line, path, f"{shown(value)}: expected a case such as {{input: {{...}}, expected: ...}}")
            return
        given = dict(value)
        inputs = _inputs(given)
        if not inputs:
            self.reject(line, (*path, "input"), "expected an input that is not empty")
            return
        metadata = _metadata(given)
        weight: Json = given.get("weight", metadata.get("weight", 1.0))
        if not is_number(weight) or not MIN_WEIGHT <= weight <= MAX_WEIGHT:
            expected = f"a number from {MIN_WEIGHT:f} to {MAX_WEIGHT:.0f}, 1 for a case that counts as any other"
            self.reject(line, (*path, "weight"), f"{shown(weight)}: expected {expected}")
            return
        asserts, wrong = read_asserts(given.get("assert") or [])
        for message in wrong:
            self.reject(line, path, message)
        case = TestCase(
            id=self._id(given, inputs, line, path),
            input=inputs,
            expected=given.get("expected"),
            weight=float(weight),
            tags=_tags(given.get("tags"), metadata),
            metadata=metadata,
            asserts=asserts,
        )
        self.cases.append(case)

    def _id(self, given: Mapping[str, Json], inputs: Json, line: Line, path: tuple[str | int, ...]) -> CaseId:
        wanted = given.get("id")
        if wanted is None or wanted == "":
            # From the content, so that what is known of a case survives others being added or moved.
            stem = f"case-{digest([inputs, given.get('expected')])[:8]}"
            name, n = stem, 2
            while name in self._seen:
                name, n = f"{stem}-{n}", n + 1
        else:
            name = str(wanted)
            if name in self._seen:
                self.reject(line, (*path, "id"), f"{shown(name)}: duplicate id; first on line {self._seen[name]()}")
        self._seen.setdefault(name, line)
        return CaseId(name)

    def place(self, case_id: CaseId) -> tuple[str, int]:
        """Return the file and the line of a case; 0 for one that is not written there."""
        line = self._seen.get(case_id)
        return self._file, 0 if line is None else line()

    def reject(self, line: Line, path: tuple[str | int, ...], message: str) -> None:
        """Note what is wrong."""
        self.problems.append(Problem(path=path, message=message, file=self._file, line=line()))


def load_cases(path: Path, name: str) -> Cases:
    """Return the cases of a file; messages call the file `name`.

    Raises:
        SpecError: the file can't be read or is not well-formed.
    """
    rows = read_rows(path, name)
    if isinstance(rows, Document):
        return cases_of(rows, ())
    found = Cases(name)
    is_table = path.suffix.lower() in {".csv", ".tsv"}
    for line, row in rows:
        found.add(_from_table(row) if is_table else row, partial(int, line), ())
    return _checked(found, 1, ())


def cases_of(document: Document, path: tuple[str | int, ...]) -> Cases:
    """Return the cases at a path of a parsed file: a list, `{"test_cases": [...]}` or one case."""
    value = document.value
    for part in path:
        value = value[part]
    if isinstance(value, Mapping) and "test_cases" in value:
        value, path = value["test_cases"], (*path, "test_cases")
    found = Cases(document.name)
    if isinstance(value, list):
        for index, item in enumerate(value):
            found.add(item, partial(document.line, (*path, index)), (*path, index))
    else:
        found.add(value, partial(document.line, path), path)
    return _checked(found, document.line(path) if path else 1, path)


def split(cases: Sequence[TestCase], share: float, seed: int) -> tuple[tuple[TestCase, ...], tuple[TestCase, ...]]:
    """Return the cases to search on and those kept for the end, both in their order, each at least one where share > 0.

    A case's place depends on the seed and its id alone, so cases added later move few others.
    """
    if share <= 0 or len(cases) < 2:  # noqa: PLR2004 (one case can't be split)
        return tuple(cases), ()
    n_kept = min(max(round(share * len(cases)), 1), len(cases) - 1)
    rank = {case.id: hashlib.sha256(f"{seed}:{case.id}".encode()).hexdigest() for case in cases}
    kept = set(sorted(rank, key=lambda case_id: rank[case_id])[:n_kept])
    return tuple(c for c in cases if c.id not in kept), tuple(c for c in cases if c.id in kept)


def _checked(found: Cases, line: int, path: tuple[str | int, ...]) -> Cases:
    if not found.cases and not found.problems:
        found.reject(partial(int, line), path, "no test cases; expected at least one")
    return found


def _inputs(given: Mapping[str, Json]) -> Json:
    if "input" not in given:
        return {key: value for key, value in given.items() if key not in _OWN_KEYS}
    value = given["input"]
    return value if isinstance(value, Mapping) else {} if value in (None, "") else {"prompt": value}


def _metadata(given: Mapping[str, Json]) -> dict[str, Json]:
    own = given.get("metadata")
    metadata = dict(own) if isinstance(own, Mapping) else {} if own is None else {"metadata": own}
    if "input" in given:
        metadata = {key: value for key, value in given.items() if key not in _OWN_KEYS} | metadata
    if given.get("description") is not None:
        metadata.setdefault("description", given["description"])
    return metadata


def _tags(tags: Json, metadata: Mapping[str, Json]) -> tuple[str, ...]:
    if tags is None:
        category = metadata.get("category")
        return () if category is None else (str(category),)
    parts = tags.replace(";", ",").split(",") if isinstance(tags, str) else tags if isinstance(tags, list) else [tags]
    return tuple(str(part).strip() for part in parts if str(part).strip())


def _from_table(row: Mapping[str, str]) -> Json:
    """Return a case from cells: `input.x` and plain columns are inputs, `expected.x` and `metadata.x` their own."""
    case: dict[str, Json] = {}
    for column, cell in row.items():
        group, _, name = column.partition(".")
        if column == "weight":
            case[column] = _number(cell)
        elif group in {"input", "expected", "metadata"} and name:
            part = case.setdefault(group, {})
            if isinstance(part, dict):
                part[name] = cell_value(cell)
        elif column in _OWN_KEYS:
            case[column] = cell_value(cell)
        else:
            case.setdefault("input", {})[column] = cell_value(cell)
    return case


def _number(cell: str) -> Json:
    try:
        return float(cell)
    except ValueError:
        return cell
