"""Parameters, conditions, candidates and the baseline."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.domain.space import Parameter, ParameterKind
from convergence_cluster.spec.loading import LoadedStudy

Loads = Callable[[str], LoadedStudy]

HEAD = """\
api: {name: x, endpoint: "https://example.com/v1"}
evaluation:
  test_cases: cases.json
  metrics: [latency]
search_space:
"""


def parameter_of(load: Loads, written: str) -> Parameter:
    return load(f"{HEAD}  parameters:\n    it: {written}\n").space.parameters[0]


@pytest.mark.parametrize(
    ("written", "grid"),
    [
        ("{type: discrete, min: 1, max: 4}", (1, 2, 3, 4)),
        ("{type: int, min: 0, max: 10, step: 4}", (0, 4, 8)),
        ("{type: discrete, min: 0.5, max: 3}", (0.5, 1.5, 2.5)),
        ("{type: float, min: 0.1, max: 1.0, step: 0.3}", (0.1, 0.4, 0.7, 1.0)),
        ("{type: continuous, min: 0, max: 1, step: 0.4}", (0.0, 0.4, 0.8)),
        ("{type: float, values: [1, 2]}", (1.0, 2.0)),
        ("{type: int, values: [2.0, 1]}", (1, 2)),
        ("[null, x, [1], {a: 1}]", (None, "x", [1], {"a": 1})),
        ("[no, yes, 2024-01-01, 1e-5, 1_000]", ("no", "yes", "2024-01-01", 1e-5, 1000)),
        ("{template: 'prompts/*.md'}", ("prompts/v1.md", "prompts/v2.md", "prompts/v10.md")),
    ],
)
def test_the_grid_is_what_the_file_says(load: Loads, written: str, grid: tuple[Json, ...]) -> None:
    parameter = parameter_of(load, written)

    assert parameter.grid() == grid
    assert [type(value) for value in parameter.grid() or ()] == [type(value) for value in grid]


@pytest.mark.parametrize(
    "written", ["{min: 0.0, max: 1.0}", "{min: 0, max: 1.0}", "{min: 0.5, max: 1}", "{min: 0.5, max: 1.0}"]
)
def test_a_range_with_a_point_in_it_is_real(load: Loads, written: str) -> None:
    parameter = parameter_of(load, written)

    assert parameter.kind is ParameterKind.CONTINUOUS
    assert parameter.grid() is None


def test_the_last_value_of_a_stepped_range_lies_on_the_grid(load: Loads) -> None:
    assert parameter_of(load, "{type: float, min: 0, max: 1, step: 0.3}").high == 0.9


@pytest.mark.parametrize(
    ("written", "is_log"),
    [
        ("{type: float, min: 0.001, max: 1}", True),
        ("{type: float, min: 0.01, max: 1}", False),
        ("{type: float, min: 0.01, max: 1, log: true}", True),
        ("{type: float, min: 0.001, max: 1, log: false}", False),
        ("{type: float, min: 0.001, max: 1, step: 0.001}", False),
        ("{type: float, min: 0, max: 1}", False),
        ("{type: int, min: 1, max: 4096}", True),
        ("{type: int, min: 1, max: 4096, step: 5}", False),
        ("{type: discrete, min: 0.5, max: 4096}", False),
    ],
)
def test_a_wide_range_is_searched_by_ratios(load: Loads, written: str, *, is_log: bool) -> None:
    assert parameter_of(load, written).log is is_log


def test_parameters_follow_those_that_their_conditions_name(load: Loads) -> None:
    study = load(
        HEAD + "  parameters:\n"
        "    depth: {values: [1, 2], when: {effort: high}}\n"
        "    effort: {values: [low, high], when: {model: [o4, o3]}}\n"
        "    model: [o4, o3, gpt]\n"
        "    heat: [0, 1]\n"
    )

    assert [parameter.name for parameter in study.space.parameters] == ["model", "effort", "depth", "heat"]
    assert study.baseline == {"model": "o4", "effort": "low", "heat": 0}


def test_conditions_in_a_circle_are_refused(load: Loads) -> None:
    text = HEAD + "  parameters:\n    a: {values: [1, 2], when: {b: 1}}\n    b: {values: [1, 2], when: {a: 1}}\n"

    with pytest.raises(SpecError, match=r"^study.yaml:7: search_space.parameters.a.when: the conditions of a, b need"):
        load(text)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("[b, a]", "b"),
        ("[256, 512, 1024]", 512),
        ("[1, 2, 3, 4]", 2),
        ("{type: int, min: 1, max: 10}", 5),
        ("{type: int, min: 1, max: 1000000}", 1000),
        ("{type: float, min: 0, max: 1}", 0.5),
        ("{type: float, min: 0, max: 1, step: 0.2}", 0.4),
        ("{type: float, min: 0.0001, max: 1}", 0.01),
        ("{template: 'prompts/*.md'}", "prompts/v1.md"),
    ],
)
def test_the_baseline_is_first_or_middle_where_none_is_given(load: Loads, written: str, value: Json) -> None:
    study = load(f"{HEAD}  parameters:\n    it: {written}\n")

    assert study.baseline == {"it": pytest.approx(value) if isinstance(value, float) else value}


def test_a_partial_baseline_is_completed(load: Loads) -> None:
    study = load(HEAD + "  parameters: {a: [x, y], b: [1, 2, 3]}\n  baseline: {a: y}\n")

    assert study.baseline == {"a": "y", "b": 2}


def test_a_baseline_value_that_does_not_apply_is_refused(load: Loads) -> None:
    text = HEAD + "  parameters:\n    a: [x, y]\n    b: {values: [1, 2], when: {a: y}}\n  baseline: {a: x, b: 1}\n"

    with pytest.raises(SpecError, match=r"^study.yaml:9: search_space.baseline.b: does not apply to the rest"):
        load(text)


def test_prompts_are_values_by_name_with_their_texts_apart(load: Loads) -> None:
    study = load(HEAD + "  parameters:\n    system: {template: 'prompts/v?.md'}\n")

    assert study.prompts == {
        "system": {"prompts/v1.md": "You are prompt v1.md.", "prompts/v2.md": "You are prompt v2.md."}
    }


def test_inline_candidates_describe_their_parameters(load: Loads) -> None:
    study = load(HEAD + "  candidates: [{m: b, n: 2}, {m: a, n: 1}, {m: b, n: 2}]\n")

    assert study.space.candidates == ({"m": "b", "n": 2}, {"m": "a", "n": 1})
    assert [(p.name, p.kind.value, p.values) for p in study.space.parameters] == [
        ("m", "categorical", ("b", "a")),
        ("n", "ordinal", (1, 2)),
    ]
    assert study.baseline == {"m": "b", "n": 2}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", '[{"m": "b", "n": 2}, {"m": "a"}]'),
        ("c.jsonl", '{"m": "b", "n": 2}\n\n{"m": "a"}\n'),
        ("c.csv", "m,n\nb,2\na,\n"),
        ("c.csv", "m;n\r\nb;2\r\na;\r\n"),
        ("c.tsv", "m\tn\nb\t2\na\t\n"),
        ("c.yaml", "- {m: b, n: 2}\n- m: a\n"),
    ],
)
def test_candidates_come_from_a_file(load: Loads, folder: Path, name: str, content: str) -> None:
    (folder / name).write_text(content)

    study = load(f"{HEAD}  candidates: {{path: {name}}}\n")

    assert study.space.candidates == ({"m": "b", "n": 2}, {"m": "a"})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("m,n\nb,7\n", "c.csv:2: search_space.candidates[0].n: 7: expected one of (1, 2)"),
        ("m,k\nb,1\n", "c.csv:2: search_space.candidates[0].k: no such parameter; expected one of: m, n"),
        ("m,n\n", "c.csv:1: no candidates; expected at least one"),
        ("m,m\nb,1\n", "c.csv:1: column 'm' stands twice"),
        ("m,n\nb,1,2\n", "c.csv:2: 3 cells under 2 columns; quote cells that contain ','"),
        ("m,n\nb,1\nb\n", "c.csv:3: 1 cell under 2 columns; leave the cell empty where a row has no value"),
        ('m,n\n"b,1\n', "c.csv:2: not valid CSV: unexpected end of data"),
    ],
)
def test_a_wrong_candidate_is_told_at_its_own_line(load: Loads, folder: Path, content: str, expected: str) -> None:
    (folder / "c.csv").write_text(content)

    with pytest.raises(SpecError) as caught:
        load(HEAD + "  parameters: {m: [a, b], n: [1, 2]}\n  candidates: {path: c.csv}\n")

    assert str(caught.value) == expected.replace("(1, 2)", "[1, 2]")


def test_a_candidate_has_no_value_that_its_others_leave_without_a_meaning(load: Loads) -> None:
    space = "  parameters: {m: [a, b], n: {values: [1, 2], when: {m: b}}}\n"

    with pytest.raises(SpecError) as caught:
        load(f"{HEAD}{space}  candidates: [{{m: b, n: 1}}, {{m: a}}, {{m: a, n: 1}}]\n")

    assert "search_space.candidates[2].n: does not apply to the rest of this configuration" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_a_baseline_is_one_of_the_candidates(load: Loads) -> None:
    with pytest.raises(SpecError, match=r"search_space.baseline: \{'m': 'c'\}: expected one of the candidates$"):
        load(HEAD + "  candidates: [{m: a}, {m: b}]\n  baseline: {m: c}\n")


def test_every_model_that_is_searched_has_its_url(load: Loads) -> None:
    text = HEAD.replace('endpoint: "https://example.com/v1"', 'models: {a: {endpoint: "https://a.example.com"}}')

    with pytest.raises(SpecError) as caught:
        load(text + "  parameters: {model: [a, b]}\n")

    assert str(caught.value) == (
        "study.yaml:6: search_space.parameters.model.values: 'b': no such model in api.models; expected one of: a"
    )
