"""CSV cells."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cluster.reports.cells import cell, table


@pytest.mark.parametrize(
    "payload",
    ["=1+1", "+A1", "-A1", "@SUM(A1)", "\tx", "\rx", "\nx", " =1+1", "-1+cmd|' /C calc'!A0", "\uff1d1", "-", "="],
)
def test_text_that_starts_a_formula_gets_an_apostrophe(payload: str) -> None:
    assert cell(payload) == f"'{payload}"


@pytest.mark.parametrize("number", ["-0.5", "+3", "-1e-05", "-.5", "12", "-7."])
def test_text_that_is_a_number_stays_as_it_is(number: str) -> None:
    assert cell(number) == number


def test_values_are_written_as_python_writes_them() -> None:
    assert [cell(v) for v in (True, -3, 0.1, None, float("nan"), float("-inf"))] == ["True", "-3", "0.1", "", "", ""]


def test_lists_and_mappings_are_json() -> None:
    assert cell({"a": [1, "é"]}) == '{"a": [1, "é"]}'


@given(
    st.lists(
        st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00")), min_size=2, max_size=2
    )
)
def test_every_table_parses_back_to_its_cells(row: list[str]) -> None:
    read = list(csv.reader(io.StringIO(table(["a", "b"], [row]), newline="")))

    assert [c.removeprefix("'") for c in read[1]] == [c.removeprefix("'") for c in row]
