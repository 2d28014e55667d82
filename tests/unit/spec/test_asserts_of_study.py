"""Assertions in a study, in its cases, and in the files they name."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.portable import pack, unpack

Loads = Callable[[str], LoadedStudy]


def study_with(load: Loads, metrics: str, cases: str = "cases.json") -> LoadedStudy:
    return load(
        'api: {name: x, endpoint: "https://example.com/v1"}\n'
        "search_space: {parameters: {a: [1, 2]}}\n"
        f"evaluation:\n  test_cases: {cases}\n  metrics: {metrics}\n"
    )


@pytest.mark.parametrize(
    ("written", "function"),
    [
        ("equals", "exact"),
        ("exact_match", "exact"),
        ("contains-any", "contains_any"),
        ("not-contains", "not_contains"),
        ("icontains-all", "icontains_all"),
        ("starts-with", "starts_with"),
        ("is_json", "is-json"),
        ("not-is-json", "not-is-json"),
        ("rouge_n", "rouge-n"),
        ("assert-set", "assert"),
        ("similarity", "levenshtein"),
    ],
)
def test_a_function_has_many_spellings(load: Loads, written: str, function: str) -> None:
    assert study_with(load, f"{{a: {{function: {written}}}}}").metrics[0].function == function


def test_assertions_make_a_function_of_their_own(load: Loads) -> None:
    study = study_with(
        load, "{a: {assert: {type: regex, value: x}, threshold: 0.5}, b: {threshold: 1, function: exact}}"
    )

    assert study.metrics[0].function == "assert"
    assert study.metrics[0].options == {"assert": [{"type": "regex", "value": "x"}], "threshold": 0.5}
    assert study.metrics[1].options == {}


def test_the_assertions_of_cases_and_files_travel_and_are_part_of_the_study(load: Loads, folder: Path) -> None:
    (folder / "check.py").write_text("def get_assert(output, context): return True\n")
    (folder / "names.yaml").write_text("[Ada, Bob]\n")
    cases = "[{q: 1, assert: {type: python, value: 'file://check.py:get_assert'}}, {q: 2}]"
    metrics = "{a: {function: assert, assert: [{type: contains-any, value: 'file://names.yaml'}]}}"
    study = study_with(load, metrics, cases)

    arrived = unpack(json.loads(json.dumps(pack(study))))

    assert study.cases[0].asserts == ({"type": "python", "value": "file://check.py:get_assert"},)
    assert (arrived.cases, arrived.metrics, arrived.digest) == (study.cases, study.metrics, study.digest)
    assert arrived.files == {"names.yaml": ["Ada", "Bob"], "check.py": (folder / "check.py").read_text()}
    (folder / "check.py").write_text("def get_assert(output, context): return False\n")
    assert study_with(load, metrics, cases).digest != study.digest
    assert study_with(load, metrics, cases.replace("python", "contains")).digest != study.digest


def test_what_nobody_counts_and_what_asserts_nothing_is_said(load: Loads) -> None:
    cases = "[{q: 1, assert: {type: is-json, metric: form}}, {q: 2}, {q: 3, assert: [{type: is-json}]}]"

    ignored = study_with(load, "{accuracy: {function: exact}}", cases)
    partly = study_with(load, "{main: {function: assert}}", cases)

    assert ignored.notes == (
        "evaluation.test_cases: their `assert` has no effect; a metric with `function: assert` counts it",
    )
    assert partly.notes == (
        "evaluation.test_cases: nobody counts the assertions of form; add metrics of these names",
        "evaluation.metrics.main: 2 of 3 cases assert nothing; they count 1",
    )


def test_a_mistake_in_a_case_or_a_file_is_named_with_its_line(load: Loads, folder: Path) -> None:
    (folder / "cases.jsonl").write_text('{"q": 1}\n{"q": 2, "assert": [{"type": "cost"}]}\n')

    with pytest.raises(SpecError, match=r"cases.jsonl:2: assert\[0\].threshold: required for cost"):
        study_with(load, "{a: {function: assert}}", "cases.jsonl")
    with pytest.raises(SpecError, match=r"study.yaml:5: evaluation.metrics: nowhere.py: no such file"):
        study_with(load, "{a: {function: python, value: 'file://nowhere.py'}}")
    with pytest.raises(SpecError, match=r"study.yaml:5: evaluation.metrics.a.value: required for python"):
        study_with(load, "{a: {function: python}}")


@pytest.mark.parametrize(
    "metric", ["{latency: {field: a}}", "{q: {function: pass^k, repeats: 2, field: a}, r: {function: exact}}"]
)
def test_a_part_of_the_answer_is_for_functions_of_the_answer(load: Loads, metric: str) -> None:
    with pytest.raises(SpecError, match=r"field: expected only where a function scores the answer"):
        study_with(load, metric)
