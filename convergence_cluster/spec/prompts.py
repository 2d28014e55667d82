"""Prompt files that are values of a parameter."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.spec.files import read_text
from convergence_cluster.spec.problems import Problem
from convergence_cluster.spec.schema_search import ParameterSection

MAX_FILES: Final = 1000
"""Most prompt files of one parameter."""


def read_prompts(
    parameters: Mapping[str, ParameterSection], directory: Path
) -> tuple[dict[str, dict[str, str]], list[Problem]]:
    """Return parameter -> file name relative to the study -> text, files in natural order; and what is wrong."""
    prompts, problems = dict[str, dict[str, str]](), list[Problem]()
    for name, parameter in parameters.items():
        if parameter.template is None:
            continue
        path = ("search_space", "parameters", name, "template")
        try:
            prompts[name] = _texts(parameter.template, directory)
        except SpecError as error:
            prompts[name] = {}
            problems.append(Problem(path=path, message=str(error)))
    return prompts, problems


def _texts(pattern: str, directory: Path) -> dict[str, str]:
    try:
        found = [path.relative_to(directory).as_posix() for path in directory.glob(pattern) if path.is_file()]
    except (ValueError, NotImplementedError, OSError) as error:
        message = f"{pattern!r}: expected a glob such as prompts/*.md"
        raise SpecError(message) from error
    files = sorted(found, key=_natural)
    if not 1 <= len(files) <= MAX_FILES:
        message = f"{pattern!r} matches {len(files)} files; expected 1 to {MAX_FILES} beside the study file"
        raise SpecError(message)
    texts = {file: read_text(directory / file, file) for file in files}
    empty = [file for file, text in texts.items() if not text.strip()]
    if empty:
        message = f"{empty[0]} is empty; expected a prompt"
        raise SpecError(message)
    return texts


def _natural(file: str) -> list[tuple[int, str]]:
    """Sort v2 before v10."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", file)]
