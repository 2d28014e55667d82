"""Numbers and JSON in answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.evaluators.structure import json_schema, numeric

SCHEMA = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}


@pytest.mark.parametrize(
    ("answer", "expected", "options", "value"),
    [
        ("The answer is 42.", 42, {}, 1.0),
        ("12 * 34 = 408", 408, {}, 1.0),
        ("12 * 34 = 408", 12, {}, 0.0),
        ("12 * 34 = 408", 12, {"which": "first"}, 1.0),
        ("$1,234.50", "1,234.5", {}, 1.0),
        ("-3.5e2", -350, {}, 1.0),
        ("about .5", 0.5, {}, 1.0),
        ("3.2", 3, {"tolerance": 0.25}, 1.0),
        ("3.3", 3, {"tolerance": 0.25}, 0.0),
        ("104", 100, {"relative_tolerance": 0.05}, 1.0),
        ("12", 10, {"scale": 4}, 0.5),
        ("20", 10, {"scale": 4}, 0.0),
        ("none", 1, {}, 0.0),
        ("7", [5, 7], {}, 1.0),
        ("7", {"answer": 7}, {}, 1.0),
        ("7", {"number": 7, "answer": 8}, {}, 1.0),
    ],
)
def test_numeric(answer: str, expected: Any, options: Any, value: float) -> None:
    assert numeric(answer, expected, options) == pytest.approx(value, abs=1e-5)


@given(number=st.integers(min_value=-(10**12), max_value=10**12))
def test_every_integer_is_found_in_a_sentence(number: int) -> None:
    assert numeric(f"So the result is {number}.", number, {}) == 1.0
    assert numeric(f"So the result is {number:,}.", number, {}) == 1.0


@given(number=st.floats(min_value=-1e9, max_value=1e9, allow_nan=False))
def test_every_float_is_found_in_a_sentence(number: float) -> None:
    assert numeric(f"x = {number!r} units", number, {}) == 1.0


def test_an_expectation_that_is_no_number_fails_and_does_not_score() -> None:
    with pytest.raises(PermanentError, match="'many'; a number was expected"):
        numeric("7", "many", {})


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ('{"n": 1}', 1.0),
        ('```json\n{"n": 1}\n```', 1.0),
        ('{"n": "1"}', 0.0),
        ("{}", 0.0),
        ("Here you are: {}", 0.0),
        ("", 0.0),
    ],
)
@pytest.mark.parametrize("place", ["options", "expected.schema", "expected"])
def test_json_schema(answer: str, value: float, place: str) -> None:
    expected: Any = {"options": None, "expected.schema": {"schema": SCHEMA}, "expected": SCHEMA}[place]

    assert json_schema(answer, expected, {"schema": SCHEMA} if place == "options" else {}) == value


def test_an_invalid_schema_fails_and_does_not_score() -> None:
    with pytest.raises(PermanentError, match="not a valid JSON schema"):
        json_schema("{}", None, {"schema": {"type": "thing"}})


def test_without_a_schema_it_fails_and_does_not_score() -> None:
    with pytest.raises(PermanentError, match="needs a schema"):
        json_schema("{}", {"answer": 1}, {})
