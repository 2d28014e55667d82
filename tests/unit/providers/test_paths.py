"""Paths into answers."""

from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cluster.domain.errors import PermanentError, SpecError
from convergence_cluster.providers.paths import compile_path

NAMES = st.sampled_from(["a", "b_2", "C"])
BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=12,
)
STEPS = st.lists(NAMES.map(lambda name: f".{name}") | st.integers(0, 3).map(lambda n: f"[{n}]"), max_size=4)


@given(first=NAMES, steps=STEPS, body=BODIES)
def test_a_plain_path_finds_what_jmespath_finds(first: str, steps: list[str], body: Any) -> None:
    path = first + "".join(steps)
    read = compile_path(path, "response.result_field")

    assert read is not None
    assert read(body) == jmespath.search(path, body)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a[*].b", [1, 2]),
        ("a[-1].b", 2),
        ("length(a)", 2),
        ('"odd-key"', 3),
        ("a[?b == `2`].b | [0]", 2),
        ("none.x", None),
    ],
)
def test_the_rest_is_jmespath(path: str, expected: Any) -> None:
    read = compile_path(path, "response.result_field")

    assert read is not None
    assert read({"a": [{"b": 1}, {"b": 2}], "odd-key": 3}) == expected


def test_no_path_is_no_function() -> None:
    assert compile_path(None, "response.error") is None


@pytest.mark.parametrize("path", ["", "a.", "a[", "a..b", "3a"])
def test_a_broken_path_is_an_error_before_any_call(path: str) -> None:
    with pytest.raises(SpecError, match=r"response\.error: .* is not valid JMESPath: .*[^:]\Z"):
        compile_path(path, "response.error")


def test_a_path_that_cannot_be_applied_fails_the_call() -> None:
    read = compile_path("abs(a)", "response.error")

    assert read is not None
    with pytest.raises(PermanentError, match="cannot be applied"):
        read({"a": "text"})
