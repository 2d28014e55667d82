"""Answers that people have graded, to see how far a judge agrees with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.identity import CaseId, Json
from convergence_cluster.spec.assertions import JUDGED
from convergence_cluster.spec.cases import Cases, Line
from convergence_cluster.spec.document import Document
from convergence_cluster.spec.files import read_rows
from convergence_cluster.spec.metrics import Metric
from convergence_cluster.spec.problems import InvalidStudyError, Problem, of_file, shown
from convergence_cluster.spec.schema_evaluation import EvaluationSection
from convergence_cluster.spec.space import is_number

_OWN: Final = ("answer", "label", "grade")


@dataclass(frozen=True, kw_only=True, slots=True)
class Labelled:
    """One answer with what people say that it is worth."""

    metric: str
    case: TestCase
    answer: str
    label: float
    """In [0, 1]."""


def labels_of_study(
    document: Document, directory: Path, evaluation: EvaluationSection, metrics: Sequence[Metric]
) -> tuple[tuple[Labelled, ...], list[Problem]]:
    """Return the labelled answers of every metric that a judge decides, and what is wrong with them."""
    found, problems = list[Labelled](), list[Problem]()
    for name, given in evaluation.metrics.items():
        if given.labels is None:
            continue
        path = ("evaluation", "metrics", name, "labels")
        is_judged = any(metric.name == name and metric.function == JUDGED for metric in metrics)
        if evaluation.judge is None or not is_judged or given.against is not None:
            problems.append(Problem(path=path, message="expected only with llm_judge and a rubric, without against"))
            continue
        grades = given.grades or evaluation.judge.grades
        try:
            labels, wrong = (
                read_labels(directory / given.labels, given.labels, metric=name, grades=grades)
                if isinstance(given.labels, str)
                else labels_of(document, path, metric=name, grades=grades)
            )
        except InvalidStudyError as error:
            labels, wrong = (), of_file(path, error)
        found += labels
        problems += wrong
    return tuple(found), problems


def read_labels(path: Path, name: str, *, metric: str, grades: int) -> tuple[tuple[Labelled, ...], list[Problem]]:
    """Return the labelled answers of a file: JSON, JSONL, YAML or a table, and what is wrong with them.

    Raises:
        SpecError: the file can't be read or is not well-formed.
    """
    rows = read_rows(path, name)
    if isinstance(rows, Document):
        return labels_of(rows, (), metric=metric, grades=grades)
    lines = [(partial(int, line), (), row) for line, row in rows]
    return _read(name, lines, metric=metric, grades=grades)


def labels_of(
    document: Document, path: tuple[str | int, ...], *, metric: str, grades: int
) -> tuple[tuple[Labelled, ...], list[Problem]]:
    """Return the labelled answers in a list at a path of a parsed file, and what is wrong with them."""
    value = document.value
    for part in path:
        value = value[part]
    if not isinstance(value, list):
        message = f"{shown(value)}: expected a list of {{input, answer, label}}"
        return (), [Problem(path=path, message=message, file=document.name, line=document.line(path))]
    rows = [(partial(document.line, (*path, index)), (*path, index), row) for index, row in enumerate(value)]
    return _read(document.name, rows, metric=metric, grades=grades)


def _read(
    file: str, rows: Sequence[tuple[Line, tuple[str | int, ...], Json]], *, metric: str, grades: int
) -> tuple[tuple[Labelled, ...], list[Problem]]:
    cases, found = Cases(file), list[Labelled]()
    for line, path, row in rows:
        if not isinstance(row, Mapping) or not isinstance(row.get("answer"), str):
            cases.reject(line, path, f"{shown(row)}: expected an `answer` beside its input, and a `label` or `grade`")
            continue
        label = _label(row, grades)
        if label is None:
            cases.reject(line, path, f"expected a `label` in [0, 1], true or false, or a `grade` from 1 to {grades}")
            continue
        n_before = len(cases.cases)
        cases.add({key: value for key, value in row.items() if key not in _OWN}, line, path)
        if len(cases.cases) > n_before:
            case = replace(cases.cases[-1], id=CaseId(f"label {len(found) + 1} of {metric}"))
            found.append(Labelled(metric=metric, case=case, answer=row["answer"], label=label))
    return tuple(found), cases.problems


def _label(row: Mapping[str, Json], grades: int) -> float | None:
    key = "label" if "label" in row else "grade"
    value, words = row.get(key), {"true": 1.0, "pass": 1.0, "false": 0.0, "fail": 0.0}
    if isinstance(value, str):  # a table's cell
        value = words.get(value.strip().lower(), _number(value))
    if isinstance(value, bool):
        return float(value)
    if value is None or not is_number(value):
        return None
    number = float(value) if key == "label" else (float(value) - 1.0) / (grades - 1)
    return number if 0.0 <= number <= 1.0 else None


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
