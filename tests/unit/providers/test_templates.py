"""Request templates."""

from typing import Any

import pytest

from convergence_cluster.domain.errors import PermanentError, SpecError
from convergence_cluster.providers.templates import compile_json, compile_text, scope_of
from tests.unit.providers.fakes import request

REQUEST = request(
    {"temperature": 0.5, "n": 3, "stream": False, "stop": None, "items": [1, 2]},
    {"question": "Why?", "number": "1", "data": {"a": [True, None]}, "values": "kept", "id": "from input"},
)
SCOPE = scope_of(REQUEST.configuration, REQUEST.case)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ params.temperature }}", 0.5),
        ("{{params.n}}", 3),
        ("  {{ params.stream }} ", False),
        ("{{ params.stop }}", None),
        ("{{ params.items }}", [1, 2]),
        ("{{ case.data }}", {"a": [True, None]}),
        ("{{ case.data.a[0] }}", True),
        ("{{ params.n * 2 }}", 6),
        ("{{ case.values }}", "kept"),
        ("{{ case.number }}", "1"),
        ("{{ case.number | int }}", 1),
        ("{{ case.input.question }}", "Why?"),
        ("{{ case.metadata.lang }}", "en"),
        ("{{ case.id }}", "from input"),
        ("Q: {{ case.question }}", "Q: Why?"),
        ("{{ params.n }}{{ params.n }}", "33"),
        ("{{ case.data }}!", '{"a": [true, null]}!'),
        ("{% if params.stream %}yes{% else %}no{% endif %}", "no"),
        ("no template { here }", "no template { here }"),
        ("<b> & {{ case.question }}\n", "<b> & Why?\n"),
    ],
)
def test_a_lone_expression_keeps_its_type_and_any_other_text_is_text(source: str, expected: Any) -> None:
    rendered = compile_text(source, "request.body")(SCOPE)

    assert rendered == expected
    assert type(rendered) is type(expected)


def test_templates_are_found_at_any_depth() -> None:
    template = {"a": [{"b": "{{ params.n }}"}, 7], "c": None, "d": "plain"}

    assert compile_json(template, "request.body")(SCOPE) == {"a": [{"b": 3}, 7], "c": None, "d": "plain"}


def test_what_is_omitted_leaves_no_key_and_no_item() -> None:
    template = {
        "seed": "{{ params.seed | default(omit) }}",
        "n": "{{ params.n | default(omit) }}",
        "list": ["{{ omit }}", "{{ params.n }}"],
        "text": "a{{ omit }}b",
    }

    assert compile_json(template, "request.body")(SCOPE) == {"n": 3, "list": [3], "text": "ab"}


@pytest.mark.parametrize(
    "source", ["{{ params.seed }}", "{{ params['seed'] }}", "{{ params.seed + 1 }}", "x {{ params.seed }}"]
)
def test_what_is_not_defined_is_an_error_that_names_field_and_cure(source: str) -> None:
    with pytest.raises(PermanentError, match=r"request\.body\.x: .*seed.* is not defined.*default\(omit\)"):
        compile_json({"x": source}, "request.body")(SCOPE)


@pytest.mark.parametrize("source", ["{{ params. }}", "{% if %}", "{{ a", "{% for x in y %}"])
def test_a_broken_template_is_an_error_before_any_call(source: str) -> None:
    with pytest.raises(SpecError, match=r"request\.body: not a valid template"):
        compile_text(source, "request.body")


@pytest.mark.parametrize(
    "source",
    ["{{ ''.__class__.__mro__ }}", "{{ params.__class__ }} x", "{{ range(10**9) | list }}", "{{ 1 / 0 }}"],
)
def test_a_template_reaches_nothing_but_its_data(source: str) -> None:
    with pytest.raises(PermanentError, match="request"):
        compile_text(source, "request.body")(SCOPE)


def test_rendering_changes_neither_configuration_nor_case() -> None:
    with pytest.raises(PermanentError):
        compile_text("{{ case.data.update({'b': 1}) }}{{ params.items.append(3) }}{{ nothing }}", "request.body")(SCOPE)
    assert REQUEST.configuration["items"] == [1, 2]
