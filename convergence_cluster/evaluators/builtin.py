"""The built-in metrics by the names that a study file uses."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from convergence_cluster.domain.calls import Answer, TestCase
from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.evaluators import structure, text
from convergence_cluster.metering.scoring import Scoring

Judge: TypeAlias = Callable[[str, Json, Mapping[str, Json]], float]
"""`(answer, expected, options)` to a value in [0, 1]."""


def _folded(judge: Judge, answer: str, expected: Json, options: Mapping[str, Json]) -> float:
    return judge(answer, expected, {**options, "ignore_case": True})


JUDGES: Mapping[str, Judge] = {
    "exact": text.exact,
    "exact_match": text.exact,
    "contains": text.contains,
    "contains_any": text.contains_any,
    "contains_all": text.contains_all,
    "icontains": partial(_folded, text.contains_any),
    "icontains_any": partial(_folded, text.contains_any),
    "icontains_all": partial(_folded, text.contains_all),
    "starts_with": text.starts_with,
    "regex": text.regex,
    "levenshtein": text.levenshtein,
    "similarity": text.levenshtein,
    "token_sort": text.token_sort,
    "token_set": text.token_set,
    "length": text.length,
    "numeric": structure.numeric,
    "json_schema": structure.json_schema,
}

_ANY_ANSWER: Final = "0"
"""A number, a text and JSON: no function stops at it before it has looked at what is expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltinEvaluator:
    """One metric by one built-in function."""

    metric: str
    function: str
    """A key of `JUDGES`, or `not_` and a key."""
    options: Mapping[str, Json] = field(default_factory=dict)

    async def evaluate(
        self, answer: Answer, case: TestCase, configuration: Configuration, scoring: Scoring
    ) -> Mapping[str, float]:
        """Return the metric's value in [0, 1].

        Raises:
            PermanentError: the case's `expected` does not fit the function.
        """
        del configuration, scoring
        return {self.metric: self._score(answer.text, case)}

    def check(self, case: TestCase) -> None:
        """Refuse a test case that no answer could be scored against.

        Raises:
            PermanentError: the case's `expected` does not fit the function.
        """
        self._score(_ANY_ANSWER, case)

    def _score(self, answer: str, case: TestCase) -> float:
        name = self.function.removeprefix("not_")
        expected = {"value": self.options["value"]} if "value" in self.options else case.expected
        try:
            value = JUDGES[name](answer, expected, self.options)
            return value if name == self.function else 1.0 - value
        except PermanentError as error:
            raise PermanentError(f"metric {self.metric!r}, test case {case.id!r}: {error}") from None
        except Exception as error:  # an answer or an `expected` of a kind nobody thought of
            message = f"metric {self.metric!r}, test case {case.id!r}: {type(error).__name__}: {error}"
            raise PermanentError(message) from error
