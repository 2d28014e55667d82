"""Scoring a part of an answer: what a JMESPath finds in its result."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, Protocol

import jmespath

from convergence_cluster.domain.calls import Answer, TestCase
from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.evaluators.expectations import as_text
from convergence_cluster.evaluators.structure import unfenced
from convergence_cluster.metering.scoring import Scoring


class Evaluator(Protocol):
    """Turns an answer into metrics."""

    async def evaluate(
        self, answer: Answer, case: TestCase, configuration: Configuration, scoring: Scoring
    ) -> Mapping[str, float]:
        """Return raw metric values by name."""
        ...


class Focused:
    """Shows an evaluator only one part of each answer; one without that part scores 0, as an empty one does."""

    def __init__(self, inner: Evaluator, path: str) -> None:
        self.inner = inner
        self._path = path

    async def evaluate(
        self, answer: Answer, case: TestCase, configuration: Configuration, scoring: Scoring
    ) -> Mapping[str, float]:
        """Return the metrics of the part.

        Raises:
            PermanentError: the part cannot be scored.
        """
        part = _compiled(self._path).search(_result(answer))
        text = "" if part is None else as_text(part)
        return await self.inner.evaluate(replace(answer, text=text, result=part), case, configuration, scoring)


def _result(answer: Answer) -> Json:
    """Return the result as JSON: text that is JSON counts as such."""
    if not isinstance(answer.result, str):
        return answer.result
    try:
        return json.loads(unfenced(answer.result))
    except (ValueError, RecursionError):
        return None


@lru_cache(maxsize=256)
def _compiled(path: str) -> Any:
    try:
        return jmespath.compile(path)
    except jmespath.exceptions.JMESPathError as error:  # checked when the study was read
        raise PermanentError(f"{path!r}: not a JMESPath expression: {error}") from None
