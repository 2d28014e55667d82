"""More test cases, none with a label that is not its own."""

import json
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.identity import CaseId, Json
from convergence_cluster.spec.augmenting import augmented
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.portable import pack, unpack
from convergence_cluster.spec.schema_evaluation import Augmentation

Loads = Callable[[str], LoadedStudy]


def case_of(prompt: str, expected: Json, name: str = "one") -> TestCase:
    return TestCase(id=CaseId(name), input={"prompt": prompt}, expected=expected)


def more(*cases: TestCase, factor: float = 3, seed: int = 0, **section: Json) -> tuple[list[TestCase], tuple[str, ...]]:
    """Return the cases that were made, and the notes."""
    given_section = Augmentation.model_validate({"enabled": True, "augmentation_factor": factor, **section})
    found, notes = augmented(cases, given_section, seed)
    return [case for case in found if "augmented_from" in case.metadata], notes


@pytest.mark.parametrize("sign", ["+", "-", "*", "x", "×", "/", "÷"])  # noqa: RUF001
@given(a=st.integers(1, 999), b=st.integers(1, 99), seed=st.integers(0, 99))
def test_every_made_case_expects_its_own_result(sign: str, a: int, b: int, seed: int) -> None:
    compute = {"+": a + b, "-": a - b}.get(sign, a * b)
    question, expected = (f"{a * b} {sign} {b}", a) if sign in "/÷" else (f"{a} {sign} {b}", compute)

    made, _ = more(case_of(f"What is {question}? Answer with the number only.", str(expected)), seed=seed)

    for case in made:
        x, y = map(int, re.findall(r"\d+", str(case.input["prompt"])))
        right = {"+": x + y, "-": x - y}.get(sign, x // y if sign in "/÷" else x * y)
        assert case.expected == str(right)
        assert sign not in "/÷" or x % y == 0
        assert case.input["prompt"] != f"What is {question}? Answer with the number only."


@pytest.mark.parametrize(
    ("expected", "made"),
    [
        (408, 1),
        ("408", 1),
        ({"answer": 408, "contains": ["408"]}, 1),
        ([408], 1),
        ({"answer": 408, "unit": "kg"}, 0),
        ("407", 0),
        (None, 0),
        ({}, 0),
        (True, 0),
    ],
)
def test_only_a_result_that_is_all_that_is_expected_can_be_worked_out(expected: Json, made: int) -> None:
    found, _ = more(case_of("Calculate 12 * 34", expected), factor=2)

    assert len(found) == made
    if isinstance(expected, dict) and made:
        a, b = map(int, re.findall(r"\d+", str(found[0].input["prompt"])))
        assert found[0].expected == {"answer": a * b, "contains": [str(a * b)]}


@pytest.mark.parametrize(
    ("prompt", "expected", "why"),
    [
        ("What is 12 + 28, rounded to the nearest ten?", "40", "whose wording may change the result"),
        ("What is 12 + 30 modulo fifty?", "42", "whose wording may change the result"),
        ("What is half of 12 * 34?", "408", "whose wording may change the result"),
        ("What is 12 * 34, knowing that 12 * 34 = 408?", "408", "without one plain calculation"),
        ("What is 1.5 + 2?", "3.5", "without one plain calculation"),
        ("What is 12 * 34? Use 3 steps.", "408", "whose wording may change the result"),
        ("What is 12 * 34?", "391", "whose calculation does not give what is expected"),
        ("Capital of France?", "Paris", "without one plain calculation"),
    ],
)
def test_whatever_could_corrupt_a_label_is_left_out_with_its_reason(prompt: str, expected: Json, why: str) -> None:
    found, notes = more(case_of(prompt, expected))

    assert found == []
    assert notes == (
        "evaluation.test_cases.augmentation: 0 of 2 more cases made, what they expect worked out anew",
        (f"evaluation.test_cases.augmentation: no case was made of 1: 1 {why}; `convergence augment` rewords them"),
    )


def test_what_is_made_is_the_same_for_the_same_seed_and_never_twice() -> None:
    cases = [case_of("What is 1 + 2?", 3, "a"), case_of("Capital of Peru?", "Lima", "b")]

    once, again, other = more(*cases, seed=1), more(*cases, seed=1), more(*cases, seed=2)

    assert once == again
    assert once != other
    assert [case.id for case in once[0]] == ["a~2", "a~3", "a~4", "a~5"]
    assert len({case.input["prompt"] for case in once[0]}) == 4
    assert more(case_of("1 + 1?", 2), factor=200)[0] != []


def test_originals_that_others_were_made_of_may_go() -> None:
    section = Augmentation(enabled=True, preserve_originals=False)
    cases = [case_of("1 + 2?", 3, "a"), case_of("Capital of Peru?", "Lima", "b")]

    found, _ = augmented(cases, section, 0)

    assert [case.id for case in found] == ["b", "a~2", "a~3"]


def test_a_study_says_what_was_made_and_travels_with_it(load: Loads) -> None:
    study = load(
        'api: {name: x, endpoint: "https://example.com/v1"}\n'
        "search_space: {parameters: {a: [1, 2]}}\n"
        "evaluation:\n  metrics: {accuracy: 1}\n"
        "  test_cases: {path: cases.json, augmentation: {enabled: true, crossover_rate: 0.5}}\n"
    )

    assert [case.id for case in study.cases if "~" in case.id] == ["easy~2", "hard~2", "easy~3", "hard~3", "easy~4"]
    assert unpack(json.loads(json.dumps(pack(study)))).cases == study.cases
    assert [note for note in study.notes if "augmentation" in note] == [
        (
            "evaluation.test_cases.augmentation.crossover_rate: accepted, no effect; No cases are combined, for nobody "
            "could say what to expect of them."
        ),
        "evaluation.test_cases.augmentation: 5 of 5 more cases made, what they expect worked out anew",
    ]


def test_without_being_asked_nothing_is_made() -> None:
    assert augmented([case_of("1 + 2?", 3)], Augmentation(), 0) == ((case_of("1 + 2?", 3),), ())
