"""Comparing texts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.evaluators.builtin import JUDGES
from convergence_cluster.evaluators.text import (
    contains,
    contains_all,
    contains_any,
    exact,
    length,
    levenshtein,
    regex,
    token_set,
    token_sort,
)


@pytest.mark.parametrize(
    ("answer", "expected", "options", "value"),
    [
        ("Paris", "Paris", {}, 1.0),
        (" Paris\n", "Paris", {}, 1.0),
        ("paris", "Paris", {}, 0.0),
        ("paris", "Paris", {"ignore_case": True}, 1.0),
        ("Paris", ["Rome", "Paris"], {}, 1.0),
        ("Paris", [], {}, 0.0),
        ("42", 42, {}, 1.0),
        ("true", True, {}, 1.0),
        ("Paris", {"answer": "Paris"}, {}, 1.0),
        ("Paris", {"exact": "Rome", "answer": "Paris"}, {}, 0.0),
    ],
)
def test_exact(answer: str, expected: Any, options: Any, value: float) -> None:
    assert exact(answer, expected, options) == value


@pytest.mark.parametrize(
    ("expected", "options", "value"),
    [
        ("paris", {}, 1.0),
        ("paris", {"ignore_case": False}, 0.0),
        (["Rome", "capital"], {}, 1.0),
        (["Rome", "Oslo"], {}, 0.0),
        ({"contains": ["Rome", "capital"]}, {}, 1.0),
        ({"contains": ["Rome", "capital"]}, {"mode": "all"}, 0.5),
        ({"contains_all": ["paris", "capital", "Rome", "France"]}, {}, 0.75),
        ({"answer": "France"}, {}, 1.0),
    ],
)
def test_contains(expected: Any, options: Any, value: float) -> None:
    assert contains("Paris is the capital of France.", expected, options) == value


def test_contains_any_and_all_say_so_themselves() -> None:
    assert contains_any("a b", ["a", "x"], {}) == 1.0
    assert contains_all("a b", ["a", "x"], {}) == 0.5


@pytest.mark.parametrize(
    ("expected", "options", "value"),
    [
        (r"\d{4}", {}, 1.0),
        (r"^\d{4}$", {}, 0.0),
        ({"regex": r"in \d+"}, {}, 1.0),
        (["x", r"born"], {}, 1.0),
        (r"BORN", {}, 0.0),
        (r"BORN", {"ignore_case": True}, 1.0),
        (None, {"pattern": r"born.*\."}, 1.0),
    ],
)
def test_regex(expected: Any, options: Any, value: float) -> None:
    assert regex("She was born\nin 1815.", expected, options) == value


def test_an_invalid_pattern_fails_and_does_not_score() -> None:
    with pytest.raises(PermanentError, match=r"'\(' is not a valid regular expression"):
        regex("x", "(", {})


def test_levenshtein_is_one_minus_edits_over_length() -> None:
    assert levenshtein("kitten", "sitting", {}) == pytest.approx(1.0 - 3.0 / 7.0)
    assert levenshtein("KITTEN", "kitten", {}) == 1.0
    assert levenshtein("KITTEN", "kitten", {"ignore_case": False}) == 0.0
    assert levenshtein("kitten", ["dog", "kittens"], {}) == pytest.approx(1.0 - 1.0 / 7.0)


def test_token_ratios_ignore_order_and_surplus() -> None:
    assert token_sort("blue is the sky", "The sky is blue", {}) == 1.0
    assert token_set("The sky is blue, of course", "sky blue", {}) == 1.0
    assert token_sort("The sky is blue of course", "sky blue", {}) < 1.0


@pytest.mark.parametrize(
    ("answer", "expected", "options", "value"),
    [
        ("12345", None, {"max": 5}, 1.0),
        ("1234567890", None, {"max": 5}, 0.5),
        ("12345", None, {"min": 10}, 0.5),
        ("a b c d", None, {"max": 2, "unit": "words"}, 0.5),
        ("12345", {"max_length": 10, "min_length": 1}, {}, 1.0),
        ("", None, {"min": 1}, 0.0),
        ("", None, {"max": 0}, 1.0),
    ],
)
def test_length(answer: str, expected: Any, options: Any, value: float) -> None:
    assert length(answer, expected, options) == value


@pytest.mark.parametrize("judge", [exact, contains, contains_all, regex, levenshtein, token_set, length])
@pytest.mark.parametrize("expected", [None, {"unrelated": 1}])
def test_nothing_to_compare_with_fails_and_does_not_score(judge: Any, expected: Any) -> None:
    with pytest.raises(PermanentError):
        judge("answer", expected, {})


@given(
    answer=st.text(max_size=40), expected=st.text(max_size=20) | st.lists(st.text(max_size=10), min_size=1, max_size=3)
)
def test_every_text_metric_is_in_zero_to_one(answer: str, expected: Any) -> None:
    for name in ("exact", "contains", "contains_any", "contains_all", "levenshtein", "token_sort", "token_set"):
        assert 0.0 <= JUDGES[name](answer, expected, {}) <= 1.0


@given(text=st.text(min_size=1, max_size=40))
def test_a_text_is_like_itself(text: str) -> None:
    for judge in (exact, contains, contains_all, levenshtein, token_sort):
        assert judge(text, text, {}) == 1.0
