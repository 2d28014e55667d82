"""Checks that a user wrote in Python: `get_assert(output, context)`, in a file or in the study itself."""

import asyncio
import copy
import sys
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from convergence_cluster.domain.errors import PermanentError, SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.evaluators.asserting import Subject
from convergence_cluster.spec.assertions import FILE, file_name, script_source

FUNCTION: Final = "get_assert"
_MAX_THREADS: Final = 64


class PythonGrader:
    """Runs such checks in threads, so that they never hold up the calls in flight.

    `folder` is what they import from; `files` holds the texts of those that stand in files.
    """

    def __init__(self, *, folder: Path, files: Mapping[str, Json]) -> None:
        self._folder = folder
        self._files = files
        self._functions: dict[str, Callable[..., Any]] = {}
        self._threads = ThreadPoolExecutor(max_workers=_MAX_THREADS, thread_name_prefix="assertion")

    async def grade(self, subject: Subject, value: Json, assertion: Mapping[str, Json]) -> float:
        """Return what a check says of an answer: a flag, a number, or a mapping with `score` or `pass`.

        Raises:
            PermanentError: it raised, or gave anything else.
        """
        del assertion
        check, where = self.load(value)
        case = subject.case
        vars_of_case = {"vars": case.input, "expected": case.expected, "metadata": case.metadata}
        arguments = copy.deepcopy((subject.answer.text, {**vars_of_case, "params": dict(subject.configuration)}))
        try:
            loop = asyncio.get_running_loop()
            found = await loop.run_in_executor(self._threads, lambda: check(*arguments))
            found = await found if isinstance(found, Awaitable) else found
        except (Exception, SystemExit) as error:
            raise PermanentError(f"{where} raised {type(error).__name__}: {error}") from error
        return subject.scoring.clamp(subject.metric, _number(found, where))

    def load(self, value: str) -> tuple[Callable[..., Any], str]:
        """Return a check, compiled once, and how messages call it.

        Raises:
            SpecError: it cannot be loaded, or has no such function.
        """
        is_file, name = value.startswith(FILE), file_name(value)
        where = name if is_file else f"{value.strip()!r:.60}"
        if value not in self._functions:
            source = self._files[name] if is_file else script_source(value)
            function = value.removeprefix(f"{FILE}{name}").removeprefix(":") if is_file else ""
            self._functions[value] = self._loaded(source, where, function or FUNCTION)
        return self._functions[value], where

    def _loaded(self, source: str, where: str, function: str) -> Callable[..., Any]:
        scope: dict[str, Any] = {"__name__": "convergence_assertion", "__file__": str(self._folder / where)}
        sys.path.insert(0, str(self._folder))
        try:
            exec(compile(source, where, "exec"), scope)  # noqa: S102 - the user's own check, in the user's own study
        except Exception as error:  # it may raise anything
            raise SpecError(f"assertion: {where} cannot be loaded: {type(error).__name__}: {error}") from error
        finally:
            sys.path.remove(str(self._folder))
        found = scope.get(function)
        if not callable(found):
            raise SpecError(f"assertion: {where} has no function {function!r}")
        return found  # type: ignore[no-any-return]  # a callable is all that is known of it


def _number(value: Any, where: str) -> float:
    given = value
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("score", "pass", "pass_") if key in value), None)
    if isinstance(value, int | float):  # a flag is a whole number
        return float(value)
    raise PermanentError(f"{where} returned {given!r:.80}; expected true, false, a number, or {{pass, score, reason}}")
