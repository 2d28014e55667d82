"""Templates in what an assertion or a judge compares with: Jinja over the case's input, sandboxed."""

import json
from collections.abc import Mapping
from functools import lru_cache

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.domain.identity import Json


def _as_text(value: object) -> object:
    is_json = value is None or isinstance(value, bool | Mapping | list | tuple)
    return json.dumps(value, ensure_ascii=False) if is_json else value


_ENVIRONMENT = ImmutableSandboxedEnvironment(undefined=StrictUndefined, finalize=_as_text, autoescape=False)


def scope_of(case: TestCase) -> Mapping[str, Json]:
    """Return what a template sees: the input's keys, and `case`, `vars`, `expected` beside them."""
    own = {"id": case.id, "input": case.input, "metadata": case.metadata, "expected": case.expected}
    return {**case.input, "vars": case.input, "case": own, "expected": case.expected}


def insertion_bytes(case: TestCase) -> int:
    """Return more than the length of what one `{{ }}` can insert."""
    return len(
        json.dumps([case.id, case.input, case.metadata, case.expected], ensure_ascii=False, default=str).encode()
    )


def rendered(value: Json, scope: Mapping[str, Json]) -> Json:
    """Return a value with every template in its texts filled in.

    Raises:
        PermanentError: a template is not valid, or names what the case does not have.
    """
    if isinstance(value, str):
        return _text(value, scope) if "{{" in value or "{%" in value else value
    if isinstance(value, list | tuple):
        return [rendered(item, scope) for item in value]
    if isinstance(value, Mapping):
        return {key: rendered(item, scope) for key, item in value.items()}
    return value


def _text(source: str, scope: Mapping[str, Json]) -> str:
    try:
        return _template(source).render(scope)
    except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
        raise PermanentError(f"the template {source!r:.60} failed: {error}") from None


@lru_cache(maxsize=1024)
def _template(source: str) -> Template:
    return _ENVIRONMENT.from_string(source)
