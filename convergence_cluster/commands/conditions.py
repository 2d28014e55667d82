"""Conditions on the answer, for continuous integration: `--fail-if "quality < 0.9"`."""

import operator
import re
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.reports.records import StudyReport

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OWN = ("score", "p_best", "p_within", "change")
_FORM = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(<=|>=|<|>)\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(%?)\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """A comparison of one number of the answer with a constant."""

    name: str
    sign: str
    value: float

    def holds(self, report: StudyReport) -> bool:
        """Say whether the answer fulfils it.

        Raises:
            SpecError: the answer has no number of that name.
        """
        return _OPERATORS[self.sign](self._found(report), self.value)

    def describe(self, report: StudyReport) -> str:
        """Return the condition with what was found."""
        return f"{self.name} {self.sign} {self.value:g} holds: {self.name} is {self._found(report):g}"

    def _found(self, report: StudyReport) -> float:
        known = _numbers(report)
        if self.name not in known:
            raise SpecError(f"--fail-if: the answer has no {self.name!r}; it has {', '.join(sorted(known))}")
        return known[self.name]


def require_known(conditions: Iterable[Condition], metrics: Iterable[str]) -> None:
    """Refuse conditions on what no answer will have, before anything is spent.

    Raises:
        SpecError: a condition names none of the metrics and none of the answer's own numbers.
    """
    known = sorted({*metrics, *_OWN})
    for condition in conditions:
        if condition.name not in known:
            raise SpecError(f"--fail-if: the answer will have no {condition.name!r}; it will have {', '.join(known)}")


def parse_condition(text: str) -> Condition:
    """Return the condition that a text states.

    Raises:
        ArgumentTypeError: it is not of the form NAME SIGN NUMBER.
    """
    match = _FORM.fullmatch(text)
    try:
        value = float(match.group(3)) if match else 0.0
    except ValueError:
        match = None
    if match is None:
        raise ArgumentTypeError(f"{text!r}: expected a metric, one of < <= > >=, and a number, as in 'quality < 0.9'")
    return Condition(name=match.group(1), sign=match.group(2), value=value / 100 if match.group(4) else value)


def _numbers(report: StudyReport) -> dict[str, float]:
    answer = report.recommendation
    if answer.best is None:
        return {}
    numbers = {
        metric.name: interval.mean for metric, interval in zip(report.metrics, answer.best.objectives, strict=True)
    }
    numbers |= {"score": answer.best.score.mean, "p_best": answer.best.p_best, "p_within": answer.p_within}
    return numbers if answer.change is None else {**numbers, "change": answer.change.mean}
