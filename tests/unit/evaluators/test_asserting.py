"""Assertions by promptfoo's names: what holds of which answer."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convergence_cluster.domain.calls import Answer, Finish, TestCase
from convergence_cluster.domain.errors import PermanentError, SpecError
from convergence_cluster.domain.identity import CaseId, Json
from convergence_cluster.evaluators.asserting import AssertEvaluator
from convergence_cluster.evaluators.scripts import PythonGrader
from convergence_cluster.metering.scoring import Scoring
from convergence_cluster.spec.assertions import TYPES, read_asserts

CASE = TestCase(id=CaseId("one"), input={"name": "Ada", "n": 3}, expected="Hello Ada")


def value_of(
    asserts: Sequence[Mapping[str, Json]],
    answer: Answer | str = "Hello Ada",
    *,
    case: TestCase = CASE,
    threshold: float | None = None,
    files: Mapping[str, Json] | None = None,
    scoring: Scoring | None = None,
) -> float:
    """Score an answer by assertions in the study's own form."""
    normal, problems = read_asserts(list(asserts))
    assert problems == []
    files = files or {}
    evaluator = AssertEvaluator(
        metric="quality",
        asserts=normal,
        takes_unnamed=True,
        threshold=threshold,
        graders={"python": PythonGrader(folder=Path(), files=files).grade},
        files=files,
    )
    given = Answer(text=answer, result=answer, raw=answer) if isinstance(answer, str) else answer
    return asyncio.run(evaluator.evaluate(given, case, {"heat": 1}, scoring or Scoring()))["quality"]


CHECKED: list[tuple[str, Json, str, float]] = [
    ("equals", "Hello Ada", "Hello Ada", 1),
    ("equals", "hello ada", "Hello Ada", 0),
    ("equals", {"a": [1, 2]}, '{ "a": [1, 2] }', 1),
    ("equals", [1, 2], "[1,2]", 1),
    ("contains", "Ada", "Hello Ada", 1),
    ("contains", "ada", "Hello Ada", 0),
    ("icontains", "ADA", "Hello Ada", 1),
    ("contains-any", ["x", "Ada"], "Hello Ada", 1),
    ("contains-any", "x, Ada", "Hello Ada", 1),
    ("contains-any", ["x", "ada"], "Hello Ada", 0),
    ("contains-all", ["Hello", "Ada"], "Hello Ada", 1),
    ("contains-all", ["Hello", "x"], "Hello Ada", 0),
    ("icontains-any", ["x", "ada"], "Hello Ada", 1),
    ("icontains-all", ["hello", "ADA"], "Hello Ada", 1),
    ("icontains-all", ["hello", "x"], "Hello Ada", 0),
    ("starts-with", "Hello", "Hello Ada", 1),
    ("starts-with", "Ada", "Hello Ada", 0),
    ("regex", r"A\wa$", "Hello Ada", 1),
    ("regex", r"^Ada", "Hello Ada", 0),
    ("is-json", None, '{"a": 1}', 1),
    ("is-json", None, 'so: {"a": 1}', 0),
    ("is-json", {"required": ["b"]}, '{"a": 1}', 0),
    ("contains-json", None, 'so: {"a": [1]} and {', 1),
    ("contains-json", {"type": "object", "required": ["b"]}, '{"a": 1} {"b": 2}', 1),
    ("contains-json", None, "{no}", 0),
    ("is-xml", None, "<a><b>1</b></a>", 1),
    ("is-xml", "a.b", "<a><b>1</b></a>", 1),
    ("is-xml", {"requiredElements": ["a.c"]}, "<a><b>1</b></a>", 0),
    ("is-xml", None, "<a>", 0),
    ("is-xml", None, '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', 0),
    ("contains-xml", None, "so <a>1</a> it is", 1),
    ("contains-xml", None, "a < b > c", 0),
    ("levenshtein", "Hello Adam", "Hello Ada", 1),
    ("levenshtein", "Goodbye", "Hello Ada", 0),
    ("rouge-n", "Hello you", "Hello Ada", 0.5),
    ("bleu", "hello ada", "Hello Ada", 1),
    ("is-refusal", None, "I'm sorry, but I can't help with that.", 1),
    ("is-refusal", None, "I\u2019m unable to do this.", 1),
    ("is-refusal", None, "The capital is Paris.", 0),
    ("word-count", 2, "Hello Ada", 1),
    ("word-count", {"min": 3}, "Hello Ada", 0),
    ("python", "len(output) > context['vars']['n']", "Hello Ada", 1),
    ("python", "x = output.count('l')\nreturn x / 4", "Hello Ada", 0.5),
    ("python", "{'pass': True, 'score': 0.25}", "Hello Ada", 0.25),
    ("python", "context['params']['heat'] == 1 and context['expected'] == output", "Hello Ada", 1),
]


@pytest.mark.parametrize(("kind", "value", "answer", "score"), CHECKED)
def test_an_assertion_holds_and_its_opposite_does_not(kind: str, value: Json, answer: str, score: float) -> None:
    assertion = {"type": kind, "value": value}

    assert value_of([assertion], answer) == pytest.approx(score)
    assert value_of([{**assertion, "type": f"not-{kind}"}], answer) == pytest.approx(1 - score)


def test_every_type_is_tried_here_or_with_the_judge() -> None:
    assert {kind for kind, *_ in CHECKED} | {"latency", "cost", "assert-set", "llm-rubric", "similar"} == set(TYPES)


def test_latency_and_cost_are_those_of_the_answer() -> None:
    answer = Answer(text="x", result="x", raw="x", latency_s=0.3, cost_usd=0.002)
    limits = [
        {"type": "latency", "threshold": 300},
        {"type": "latency", "threshold": 299},
        {"type": "cost", "threshold": 0.002},
        {"type": "cost", "threshold": 0.001},
    ]

    assert [value_of([limit], answer) for limit in limits] == [1, 0, 1, 0]
    with pytest.raises(PermanentError, match="no price is known"):
        value_of([limits[2]], replace(answer, cost_usd=None))


def test_an_answer_that_the_provider_calls_a_refusal_is_one() -> None:
    refused = Answer(text="No.", result="No.", raw="", finish=Finish.REFUSAL)

    assert value_of([{"type": "is-refusal"}], refused) == 1


def test_weights_count_and_a_threshold_makes_a_set_pass_or_fail() -> None:
    yes, no = {"type": "contains", "value": "Ada"}, {"type": "contains", "value": "x"}

    assert value_of([yes, {**no, "weight": 3}]) == 0.25
    assert value_of([yes, {**no, "weight": 0}]) == 1
    assert value_of([yes, no], threshold=0.5) == 1
    assert value_of([yes, no], threshold=0.6) == 0
    nested = {"type": "assert-set", "threshold": 0.5, "assert": [yes, no]}
    assert value_of([nested, {**no, "weight": 3}]) == 0.25
    assert value_of([{**nested, "threshold": 0.6}, yes]) == 0.5
    assert value_of([]) == 1


def test_a_threshold_makes_a_graded_assertion_pass_or_fail() -> None:
    assertion = {"type": "rouge-n", "value": "Hello you"}

    assert value_of([{**assertion, "threshold": 0.5}]) == 1
    assert value_of([{**assertion, "threshold": 0.6}]) == 0
    assert value_of([{**assertion, "type": "not-rouge-n", "threshold": 0.6}]) == 1
    assert value_of([{"type": "levenshtein", "value": "Goodbye", "threshold": 9}]) == 1


def test_values_are_templates_and_default_to_what_the_case_expects() -> None:
    assert value_of([{"type": "equals", "value": "Hello {{ name }}"}]) == 1
    assert value_of([{"type": "contains-all", "value": ["{{name}}", "Hello"]}]) == 1
    assert value_of([{"type": "equals"}]) == 1
    with pytest.raises(PermanentError, match=r"metric 'quality', test case 'one', equals: .*'nobody' is undefined"):
        value_of([{"type": "equals", "value": "{{ nobody }}"}])


def test_a_case_brings_assertions_of_its_own() -> None:
    named = ({"type": "contains", "value": "x", "metric": "tone"}, {"type": "contains", "value": "y"})
    case = replace(CASE, asserts=named)

    assert value_of([{"type": "icontains", "value": "ada"}], case=case) == 0.5


def test_files_hold_values_and_checks() -> None:
    files: dict[str, Any] = {
        "names.json": ["Ada"],
        "check.py": "def get_assert(output, context): return 0.5\ndef strict(output, context): return False\n",
    }

    assert value_of([{"type": "contains-any", "value": "file://names.json"}], files=files) == 1
    assert value_of([{"type": "python", "value": "file://check.py"}], files=files) == 0.5
    assert value_of([{"type": "python", "value": "file://check.py:strict"}], files=files) == 0
    with pytest.raises(SpecError, match=r"check.py has no function 'missing'"):
        value_of([{"type": "python", "value": "file://check.py:missing"}], files=files)


def test_a_check_that_fails_is_no_score_and_one_out_of_range_is_noted() -> None:
    scoring = Scoring()

    assert value_of([{"type": "python", "value": "87"}], scoring=scoring) == 1
    assert scoring.clamped == {"quality": 87}
    with pytest.raises(PermanentError, match="raised ZeroDivisionError"):
        value_of([{"type": "python", "value": "1 / 0"}])
    with pytest.raises(PermanentError, match="returned None; expected true, false, a number"):
        value_of([{"type": "python", "value": "None"}])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"type": "javascript", "value": "1"}, "JavaScript is not run here; write it in Python as type: python"),
        ({"type": "not-javascript", "value": "1"}, "JavaScript is not run here"),
        ({"type": "contain"}, "no such type of assertion; did you mean 'contains'?"),
        ({"type": "cost"}, "assert[0].threshold: required for cost: the most allowed, in USD"),
        ({"type": "regex", "value": "("}, "expected a regular expression"),
        ({"type": "python", "value": "a b"}, "not valid Python"),
        ({"type": "assert-set"}, "expected members in a set"),
        ({"type": "equals", "valeu": 1}, "assert[0].valeu: unknown key; did you mean 'value'?"),
        ({"type": "assert-set", "assert": [{"type": "x"}]}, "assert[0].assert[0].type: 'x': no such type"),
    ],
)
def test_a_mistake_is_found_when_the_study_is_read(given: Json, message: str) -> None:
    found, problems = read_asserts([given])

    assert found == ()
    assert len(problems) == 1
    assert message in problems[0]
