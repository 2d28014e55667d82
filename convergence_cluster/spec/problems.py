"""Problems of a study file: one line each, all of a file together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rapidfuzz import fuzz, process

from convergence_cluster.domain.errors import SpecError

MAX_SHOWN = 60
"""Characters of a value that a message shows."""

NEAREST_SCORE = 60.0
"""Similarity in [0, 100] from which a name counts as a misspelling of another."""

_PRIVATE = ("auth", "headers", "header")


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong, where, and what was expected."""

    path: tuple[str | int, ...]
    """Keys and indices from the top of the file."""
    message: str
    file: str = ""
    line: int = 0
    """From 1; 0 where no line is known."""

    def __str__(self) -> str:
        """Return `file:line: path: message`, leaving out what is unknown."""
        place = f"{self.file}:{self.line}" if self.file and self.line else self.file
        return ": ".join(one_line(part) for part in (place, dotted(self.path), self.message) if part)


class InvalidStudyError(SpecError):
    """The study is not valid; correct the lines named and run `convergence validate`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def of_file(path: tuple[str | int, ...], error: InvalidStudyError) -> list[Problem]:
    """Return what is wrong with another file: at its own line, or at the key of the study that names the file."""
    return [
        problem if problem.line else Problem(path=path, message=f"{problem.file}: {problem.message}")
        for problem in error.problems
    ]


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as users write it: `evaluation.test_cases.inline[2].id`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def raise_all(problems: Iterable[Problem]) -> None:
    """Raise one error with a line for each distinct problem, in the order of the file; return where there are none.

    Raises:
        InvalidStudyError: there is at least one problem.
    """
    distinct = {str(problem): problem for problem in sorted(problems, key=lambda problem: (problem.file, problem.line))}
    if distinct:
        raise InvalidStudyError(tuple(distinct.values()))


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """Return the valid name that a misspelled one most probably means, or None."""
    found = process.extractOne(name, list(valid), scorer=fuzz.ratio, score_cutoff=NEAREST_SCORE)
    return None if found is None else found[0]


def suggestion(name: str, valid: Iterable[str]) -> str:
    """Return `; did you mean 'x'?`, or `; expected one of: ...` where no name is near, or nothing."""
    names = sorted(set(valid))
    near = nearest(name, names)
    if near is not None:
        return f"; did you mean {near!r}?"
    return f"; expected one of: {', '.join(names)}" if names else ""


def shown(value: Any, path: Sequence[str | int] = ()) -> str:
    """Return a value as a message may show it: short, on one line, and never from a place where secrets are."""
    if any(part in _PRIVATE for part in path):
        return "(value not shown)"
    words = {None: "nothing", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else one_line(repr(value))
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


def one_line(text: str) -> str:
    """Return a text without line breaks and control characters."""
    return "".join(character if character.isprintable() else " " for character in text).strip()
