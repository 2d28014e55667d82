"""Request templates: Jinja over `params` and `case`, compiled once, sandboxed, with numbers that stay numbers."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, UndefinedError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.errors import PermanentError, SpecError
from convergence_cluster.domain.identity import Configuration, Json

Scope: TypeAlias = Mapping[str, Json]
"""What a template sees: `params`, the configuration; `case`, the input's keys beside `id`, `input`, `metadata`; and
`input`, the input alone, as one of its keys may be `input` too."""

Render: TypeAlias = Callable[[Scope], Json]

_EXPRESSION = re.compile(r"\A\s*\{\{-?(.*?)-?\}\}\s*\Z", re.DOTALL)


class _Omit:
    """Stands for `leave this key out`; written `{{ params.seed | default(omit) }}`."""

    def __repr__(self) -> str:
        return "omit"

    def __str__(self) -> str:
        return ""


OMIT = _Omit()


class _Environment(ImmutableSandboxedEnvironment):
    """Reads `case.items` as the key `items`, not as a method of the mapping."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


def _as_text(value: object) -> object:
    """Write JSON values into a text as JSON, not as Python."""
    is_json = not isinstance(value, str) and (value is None or isinstance(value, bool | Mapping | list | tuple))
    return json.dumps(value, ensure_ascii=False) if is_json else value


_ENVIRONMENT = _Environment(undefined=StrictUndefined, finalize=_as_text, keep_trailing_newline=True, autoescape=False)
_ENVIRONMENT.globals["omit"] = OMIT
GLOBALS = frozenset(_ENVIRONMENT.globals)
"""Names that mean something in every template."""


def scope_of(configuration: Configuration, case: TestCase) -> Scope:
    """Return what a template sees of one call."""
    return {
        "params": configuration,
        "input": case.input,
        "case": {"id": case.id, "input": case.input, "metadata": case.metadata, **case.input},
    }


def compile_json(value: Json, name: str) -> Render:
    """Return a function from scope to `value` with every template in it rendered.

    A text that is exactly one `{{ expression }}` becomes that expression's value, of any JSON type; any other text
    becomes text. A key or item whose value is `omit` is left out. `name` (`request.body`) is for messages.

    Raises:
        SpecError: a template is not valid Jinja.
    """
    if isinstance(value, str):
        return compile_text(value, name)
    if isinstance(value, Mapping):
        return _compile_mapping(value, name)
    if isinstance(value, list | tuple):
        items = [compile_json(item, f"{name}[{index}]") for index, item in enumerate(value)]
        return lambda scope: [item for render in items if (item := render(scope)) is not OMIT]
    return lambda _: value


def compile_text(source: str, name: str) -> Render:
    """Return a function from scope to the rendered text, or to the value of a lone expression.

    Plain paths (`params.x`, `case.x.y`, also with `| default(omit)`, also amid text) are walked without Jinja, which
    takes 10 microseconds to set up each rendering.

    Raises:
        SpecError: the template is not valid Jinja.
    """
    if "{{" not in source and "{%" not in source and "{#" not in source:
        return lambda _: source
    parts = _output_of(source, name)
    if (expression := _EXPRESSION.match(source)) is not None and len(parts) == 1:
        plain = _compile_plain(parts[0], name)
        evaluate = _ENVIRONMENT.compile_expression(expression[1], undefined_to_none=False)
        return plain or _guarded(lambda scope: evaluate(**scope), name)
    renders = [_compile_plain(part, name) for part in parts]
    if parts and None not in renders:
        return lambda scope: "".join(str(_as_text(render(scope))) for render in renders if render is not None)
    template = _ENVIRONMENT.from_string(source)
    return _guarded(lambda scope: template.render(**scope), name)


def _compile_mapping(value: Mapping[str, Json], name: str) -> Render:
    items = [(key, compile_json(item, f"{name}.{key}")) for key, item in value.items()]
    return lambda scope: {key: item for key, render in items if (item := render(scope)) is not OMIT}


def parse_template(source: str) -> nodes.Template:
    """Return the nodes of a template.

    Raises:
        SpecError: it is not valid Jinja.
    """
    try:
        return _ENVIRONMENT.parse(source)
    except TemplateSyntaxError as error:
        message = f"not a valid template: {error.message} (line {error.lineno} of {source!r:.80})"
        raise SpecError(message) from None


def _output_of(source: str, name: str) -> Sequence[nodes.Expr]:
    """Return a template's texts and expressions in order; empty if it has statements."""
    try:
        body = parse_template(source).body
    except SpecError as error:
        raise SpecError(f"{name}: {error}") from None
    if len(body) != 1 or not isinstance(body[0], nodes.Output):
        return ()
    parts = body[0].nodes
    visible = [part for part in parts if not (isinstance(part, nodes.TemplateData) and not part.data.strip())]
    return visible if len(visible) == 1 and _EXPRESSION.match(source) else parts


def _compile_plain(part: nodes.Expr, name: str) -> Render | None:
    """Return a function for a text or a plain path, or None for anything that needs Jinja."""
    if isinstance(part, nodes.TemplateData):
        text = part.data
        return lambda _: text
    is_optional = (
        isinstance(part, nodes.Filter)
        and part.name == "default"
        and len(part.args) == 1
        and isinstance(part.args[0], nodes.Name)
        and part.args[0].name == "omit"
    )
    path = _path_of(part.node if is_optional and isinstance(part, nodes.Filter) else part)
    return None if path is None else _walk(path, name, is_optional=is_optional)


def _path_of(part: nodes.Expr | None) -> tuple[str, ...] | None:
    if isinstance(part, nodes.Getattr) and (parent := _path_of(part.node)) is not None:
        return (*parent, part.attr)
    return (part.name,) if isinstance(part, nodes.Name) and part.name in {"params", "case"} else None


def _walk(path: tuple[str, ...], name: str, *, is_optional: bool) -> Render:
    def render(scope: Scope) -> Json:
        value: Json = scope
        try:
            for step in path:
                value = value[step]
        except (KeyError, TypeError):  # a text, a number or a list has no name in it
            if is_optional:
                return OMIT
            raise _undefined(name, ".".join(path)) from None
        return value

    return render


def _guarded(render: Render, name: str) -> Render:
    def guarded(scope: Scope) -> Json:
        try:
            value = render(scope)
        except UndefinedError as error:
            raise _undefined(name, str(error.message)) from None
        except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
            raise PermanentError(f"{name}: the template failed: {type(error).__name__}: {error}") from None
        if isinstance(value, StrictUndefined):
            raise _undefined(name, str(value._undefined_name))  # noqa: SLF001 - there is no public way to its name
        return value

    return guarded


def _undefined(name: str, what: str) -> PermanentError:
    return PermanentError(
        f"{name}: {what!r} is not defined for this call; write `| default(omit)` where it may be absent"
    )
