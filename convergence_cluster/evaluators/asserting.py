"""A metric that is the share of assertions that an answer keeps: the study's own and those of the test case."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from convergence_cluster.domain.calls import Answer, TestCase
from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.domain.identity import Configuration, Json, digest
from convergence_cluster.evaluators.assertions import CHECKS, GRADED, WITHOUT_VALUE
from convergence_cluster.evaluators.expectations import expected_under
from convergence_cluster.evaluators.rendering import rendered, scope_of
from convergence_cluster.metering.scoring import Scoring
from convergence_cluster.spec.assertions import FILE, SET, bare_type

_ANY_ANSWER: Final = Answer(text="0", result="0", raw="0", cost_usd=0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """What an assertion is about."""

    answer: Answer
    case: TestCase
    configuration: Configuration
    scoring: Scoring
    metric: str

    @property
    def scope(self) -> Mapping[str, Json]:
        """What templates see."""
        return scope_of(self.case)

    def key(self, assertion: Mapping[str, Json]) -> str:
        """Identify one assertion on one answer."""
        return digest([self.case.id, dict(self.configuration), dict(assertion), self.answer.text])


Grader: TypeAlias = Callable[[Subject, Json, Mapping[str, Json]], Awaitable[float]]
"""Grades what needs more than the answer: `(subject, value, assertion) -> score`."""


class AssertEvaluator:
    """The weighted mean of assertions; with a threshold 1 from there on, else 0. Nothing to check counts as 1."""

    def __init__(
        self,
        *,
        metric: str,
        asserts: Sequence[Mapping[str, Json]],
        takes_unnamed: bool,
        threshold: float | None,
        graders: Mapping[str, Grader],
        files: Mapping[str, Json],
    ) -> None:
        self.metric = metric
        self._asserts = tuple(asserts)
        self._takes_unnamed = takes_unnamed
        self._whole: Mapping[str, Json] = {} if threshold is None else {"threshold": threshold}
        self._graders = graders
        self._files = files

    async def evaluate(
        self, answer: Answer, case: TestCase, configuration: Configuration, scoring: Scoring
    ) -> Mapping[str, float]:
        """Return the metric's value in [0, 1].

        Raises:
            PermanentError: an assertion cannot be decided.
        """
        subject = Subject(answer=answer, case=case, configuration=configuration, scoring=scoring, metric=self.metric)
        return {self.metric: _marked(await self._mean(self._members(case), subject), self._whole)}

    def check(self, case: TestCase) -> None:
        """Refuse a test case whose assertions no answer could be held against; nothing is asked of any model.

        Raises:
            PermanentError: an assertion cannot be decided, whatever the answer.
        """
        subject = Subject(answer=_ANY_ANSWER, case=case, configuration={}, scoring=Scoring(), metric=self.metric)
        for each in self._members(case):
            self._check(each, subject)

    def _check(self, assertion: Mapping[str, Json], subject: Subject) -> None:
        kind = assertion["type"]
        if kind == SET:
            for each in assertion["assert"]:
                self._check(each, subject)
            return
        bare = bare_type(kind)
        try:
            value = self._value(bare, assertion, subject)
            if bare in CHECKS:
                CHECKS[bare](subject.answer, value, assertion)
        except PermanentError as error:
            raise PermanentError(_told(error, kind, subject)) from None

    def _members(self, case: TestCase) -> Sequence[Mapping[str, Json]]:
        return [*self._asserts, *(each for each in case.asserts if self._is_mine(each))]

    def _is_mine(self, assertion: Mapping[str, Json]) -> bool:
        metric = assertion.get("metric")
        return metric == self.metric or (metric is None and self._takes_unnamed)

    async def _mean(self, members: Sequence[Mapping[str, Json]], subject: Subject) -> float:
        total = score = 0.0
        for each in members:
            if weight := each.get("weight", 1.0):
                total += weight
                score += weight * await self._score(each, subject)
        return score / total if total else 1.0

    async def _score(self, assertion: Mapping[str, Json], subject: Subject) -> float:
        kind = assertion["type"]
        try:
            if kind == SET:
                return _marked(await self._mean(assertion["assert"], subject), assertion)
            bare = bare_type(kind)
            score = await self._graded(bare, assertion, subject)
        except PermanentError as error:
            raise type(error)(_told(error, kind, subject)) from None
        score = _marked(score, assertion) if bare in GRADED else score
        return 1.0 - score if kind != bare else score

    async def _graded(self, bare: str, assertion: Mapping[str, Json], subject: Subject) -> float:
        if bare in self._graders:
            raw = self._read(assertion.get("value")) if bare != "python" else None
            whole = assertion if raw is None else {**assertion, "value": raw}
            return await self._graders[bare](subject, self._value(bare, assertion, subject), whole)
        return CHECKS[bare](subject.answer, self._value(bare, assertion, subject), assertion)

    def _value(self, bare: str, assertion: Mapping[str, Json], subject: Subject) -> Json:
        value = assertion.get("value")
        if value is None:
            if bare in WITHOUT_VALUE:
                return None
            value = expected_under(subject.case.expected, bare, bare.replace("-", "_"))
        if bare == "python":
            return value
        return rendered(self._read(value), subject.scope)

    def _read(self, value: Json) -> Json:
        if isinstance(value, list | tuple):
            return [self._read(item) for item in value]
        is_file = isinstance(value, str) and value.startswith(FILE)
        return self._files[value.removeprefix(FILE)] if is_file else value


def _told(error: PermanentError, kind: str, subject: Subject) -> str:
    return f"metric {subject.metric!r}, test case {subject.case.id!r}, {kind}: {error}"


def _marked(score: float, assertion: Mapping[str, Json]) -> float:
    threshold = assertion.get("threshold")
    return score if threshold is None else float(score >= threshold - 1e-9)
