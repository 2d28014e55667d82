"""Where things are in an answer: JMESPath, with the commonest paths walked directly."""

import re
from collections.abc import Callable
from typing import Any, TypeAlias

import jmespath
from jmespath.exceptions import JMESPathError

from convergence_cluster.domain.errors import PermanentError, SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.section import jmespath_reason

Read: TypeAlias = Callable[[Json], Json]
"""From a body to what was found there, None if nothing was."""

_PLAIN = re.compile(r"\A[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*|\[[0-9]+\])*\Z")
_STEP = re.compile(r"[A-Za-z_0-9]+")


def compile_path(path: str | None, name: str) -> Read | None:
    """Return a function from a body to what JMESPath finds there; None for no path.

    Raises:
        SpecError: the expression is not valid JMESPath.
    """
    if path is None:
        return None
    if _PLAIN.match(path):
        return _walk(tuple(int(step) if step.isdigit() else step for step in _STEP.findall(path)))
    try:
        compiled: Any = jmespath.compile(path)
    except JMESPathError as error:
        raise SpecError(f"{name}: {path!r} is not valid JMESPath: {jmespath_reason(error)}") from None

    def read(body: Json) -> Json:
        try:
            return compiled.search(body)
        except JMESPathError as error:
            raise PermanentError(f"{name}: {path!r} cannot be applied to the answer: {error}") from None

    return read


def _walk(steps: tuple[str | int, ...]) -> Read:
    """Return what JMESPath would find by keys and indices alone, ten times as fast (a test compares them)."""

    def read(body: Json) -> Json:
        value = body
        for step in steps:
            if isinstance(step, int):
                value = value[step] if isinstance(value, list) and step < len(value) else None
            else:
                value = value.get(step) if isinstance(value, dict) else None
        return value

    return read
