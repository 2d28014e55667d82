"""The best configuration as a file that a program loads."""

import ast
import json
import subprocess

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from convergence_cluster.domain.identity import Json
from convergence_cluster.reports.exporting import ExportFormat, export

CONFIGURATION: dict[str, Json] = {
    "model": "gpt-4.1-mini",
    "temperature": 1e-05,
    "big": 1e22,
    "stream": False,
    "stop": None,
    "effort": "no",
    "date": "2026-11-22",
    "top": [1, 2.5, {"a: b": "#x"}],
    "system prompt": "Be 'brief'.\nNever say \"$HOME\" or `id`.\u2028\ufeff\x85 €",
}
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def python_value(text: str) -> Json:
    module = ast.parse(text)
    assert isinstance(module.body[0], ast.Assign)
    assert [target.id for target in module.body[0].targets if isinstance(target, ast.Name)] == ["BEST_CONFIG"]
    return ast.literal_eval(module.body[0].value)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_json_yaml_and_python_read_back_alike(values: dict[str, Json]) -> None:
    assert json.loads(export(values, ExportFormat.JSON)) == values
    assert yaml.safe_load(export(values, ExportFormat.YAML)) == values
    assert python_value(export(values, ExportFormat.PYTHON)) == values


def test_yaml_keeps_what_yaml_would_take_for_another_type() -> None:
    assert yaml.safe_load(export(CONFIGURATION, ExportFormat.YAML)) == CONFIGURATION


@pytest.mark.parametrize("form", ExportFormat)
def test_a_source_of_several_lines_stays_one_comment(form: ExportFormat) -> None:
    text = export({"a": 1}, form, source="study\nimport os")

    assert [line for line in text.splitlines() if line.startswith("import")] == []


def test_a_shell_reads_the_variables_as_they_are() -> None:
    text = export(CONFIGURATION, ExportFormat.ENV, source="the study $(id)")
    script = f'{text}\nprintf \'%s\\0\' "$MODEL" "$TEMPERATURE" "$STREAM" "$TOP" "$SYSTEM_PROMPT"'

    read = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, check=True).stdout.decode().split("\0")

    prompt = CONFIGURATION["system prompt"]
    assert read[:5] == ["gpt-4.1-mini", "1e-05", "false", '[1, 2.5, {"a: b": "#x"}]', prompt]


def test_names_that_become_alike_are_numbered() -> None:
    text = export({"top-p": 1, "top_p": 2, "2nd": 3}, ExportFormat.ENV)

    assert text == "TOP_P=1\nTOP_P_2=2\n_2ND=3\n"


def test_an_empty_configuration_loads_as_one() -> None:
    assert yaml.safe_load(export({}, ExportFormat.YAML)) == {}
    assert python_value(export({}, ExportFormat.PYTHON)) == {}
