"""Scoring a part of an answer."""

import asyncio

import pytest

from convergence_cluster.domain.calls import Answer, TestCase
from convergence_cluster.domain.identity import CaseId, Json
from convergence_cluster.evaluators.builtin import BuiltinEvaluator
from convergence_cluster.evaluators.focusing import Focused
from convergence_cluster.metering.scoring import Scoring

CASE = TestCase(id=CaseId("one"), input={}, expected="Paris")


@pytest.mark.parametrize(
    ("result", "path", "value"),
    [
        ({"city": "Paris"}, "city", 1.0),
        ('{"city": "Paris"}', "city", 1.0),
        ('```json\n{"places": [{"city": "Paris"}]}\n```', "places[0].city", 1.0),
        ({"city": "Rome"}, "city", 0.0),
        ({"town": "Paris"}, "city", 0.0),
        ("Paris", "city", 0.0),
        ({"city": ["Paris"]}, "city", 0.0),
    ],
)
def test_only_the_part_counts(result: Json, path: str, value: float) -> None:
    evaluator = Focused(BuiltinEvaluator(metric="a", function="exact"), path)
    answer = Answer(text=str(result), result=result, raw=result)

    assert asyncio.run(evaluator.evaluate(answer, CASE, {}, Scoring())) == {"a": value}
