"""A parsed study file as a checked `StudySpec`; pydantic's findings become one line each."""

from collections.abc import Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import AliasChoices, ValidationError
from pydantic_core import ErrorDetails

from convergence_cluster.spec.document import Document
from convergence_cluster.spec.problems import Problem, nearest, raise_all, shown, suggestion
from convergence_cluster.spec.schema import StudySpec
from convergence_cluster.spec.section import Section

_OWN: Final = {"section", "environment_name", "jmespath", "pattern", "header"}
"""Errors whose message says all."""

_EXPECTED: Final = {
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "number": "a number",
    "finite_number": "a finite number",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "too_short": "at least {min_length}",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "mapping_type": "a mapping of keys to values",
    "tuple_type": "a list",
    "list_type": "a list",
}


def validate(document: Document) -> StudySpec:
    """Return the study that a file describes, as far as the file alone can tell.

    Raises:
        SpecError: every problem found, one line each.
    """
    try:
        return StudySpec.model_validate(document.value)
    except ValidationError as error:
        raise_all(_problem(document, details) for details in error.errors(include_url=False))
        raise


def _problem(document: Document, details: ErrorDetails) -> Problem:
    path, context = tuple(details["loc"]), details.get("ctx", {})
    if details["type"] == "section":
        path = (*path, context["key"])
    return document.problem(path, _message(details, path))


def _message(details: ErrorDetails, path: tuple[str | int, ...]) -> str:
    kind = details["type"]
    if kind in _OWN:
        return details["msg"]
    if kind == "missing":
        return "required key is missing"
    if kind == "extra_forbidden":
        return f"unknown key{suggestion(str(path[-1]), _keys_at(path[:-1]))}"
    if kind == "literal_error":
        return _literal(details, path)
    expected = _EXPECTED[kind].format(**details.get("ctx", {})) if kind in _EXPECTED else None
    value = shown(details["input"], path)
    return f"{value}: {details['msg']}" if expected is None else f"{value}: expected {expected}"


def _literal(details: ErrorDetails, path: Sequence[str | int]) -> str:
    text = str(details.get("ctx", {}).get("expected", ""))
    near = nearest(str(details["input"]), text.replace("'", "").replace(" or ", ", ").split(", "))
    hint = f"; did you mean {near!r}?" if near is not None else ""
    return f"{shown(details['input'], path)}: expected {text}{hint}"


def _keys_at(path: Sequence[str | int]) -> list[str]:
    """Return the keys that a section knows, by the path to it."""
    kind: Any = StudySpec
    for part in path:
        section = _section(kind)
        if section is None:
            kind = _element(kind)
        else:
            found = [field.annotation for name, field in section.model_fields.items() if part in _names(name, field)]
            kind = found[0] if found else None
    section = _section(kind)
    return [] if section is None else [key for n, field in section.model_fields.items() for key in _names(n, field)]


def _names(name: str, field: Any) -> list[str]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [name if alias is None else str(alias)]


def _section(kind: Any) -> type[Section] | None:
    for option in _options(kind):
        if isinstance(option, type) and issubclass(option, Section):
            return option
    return None


def _element(kind: Any) -> Any:
    for option in _options(kind):
        if isinstance(get_origin(option), type) and issubclass(get_origin(option), Mapping | Sequence):
            return [part for part in get_args(option) if part is not Ellipsis][-1]
    return None


def _options(kind: Any) -> list[Any]:
    """Return what an annotation allows, without None and without `Annotated`."""
    if get_origin(kind) in {Union, UnionType}:
        return [option for part in get_args(kind) if part is not NoneType for option in _options(part)]
    return _options(get_args(kind)[0]) if hasattr(kind, "__metadata__") else [kind]
