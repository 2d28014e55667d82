"""The files that assertions name by `file://`, relative to the study file."""

from collections.abc import Sequence
from pathlib import Path

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.assertions import files_of
from convergence_cluster.spec.files import read_value
from convergence_cluster.spec.metrics import Metric, every_assertion
from convergence_cluster.spec.problems import InvalidStudyError, Problem, of_file


def read_named(
    metrics: Sequence[Metric], cases: Sequence[TestCase], directory: Path
) -> tuple[dict[str, Json], list[Problem]]:
    """Return what the files hold, by name, and what is wrong with them."""
    found, problems = dict[str, Json](), list[Problem]()
    for name in dict.fromkeys(files_of(list(every_assertion(metrics, cases)))):
        try:
            found[name] = read_value(directory / name, name)
        except InvalidStudyError as error:
            problems += of_file(("evaluation", "metrics"), error)
    return found, problems
