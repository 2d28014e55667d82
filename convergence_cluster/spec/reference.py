"""The study file's reference page and its JSON schema, both from the models, so that they can't say anything else."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from pydantic import AliasChoices
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.schema import StudySpec
from convergence_cluster.spec.section import IGNORED, LATER, EnvironmentName, JmesPath, Section

NAME: Final = "NAME"
"""Stands for a name of the user's."""

SHORTHANDS: Final[Mapping[str, Sequence[Json]]] = {
    "ParameterSection": ({"type": ["array", "string", "number", "boolean"]},),
    "MetricSection": ({"type": ["number", "null"]},),
    "TestCasesSection": ({"type": ["string", "array"]},),
    "CandidatesSection": ({"type": ["string", "array"]},),
    "UsagePaths": ({"type": "string"},),
    "StepSection": ({"type": "string"},),
    "FunctionSection": ({"type": "string"},),
}
"""What may stand for a whole section, besides its own keys."""

_MORE_KEYS: Final[Mapping[str, Mapping[str, Json]]] = {
    "EvaluationSection": {"holdout": {"type": "number"}},
    "OptimizationSection": {"early_stopping": {"$ref": "#/$defs/EarlyStopping"}},
    "Execution": {"generations": {"type": "integer"}, "population_size": {"type": "integer"}},
}
"""Keys that older files have one level off."""

_INTRODUCTION: Final = """\
# The study file

<!-- Written by `python -m convergence_cluster.spec.reference`; a test keeps it true. -->

A study is one YAML or JSON file. `convergence validate FILE` checks it and everything it names, and spends nothing.
Every mistake is one line: file, line, key, value, what was expected. Unknown keys are mistakes.

```yaml
api:
  name: support-bot
  endpoint: https://api.openai.com/v1/chat/completions
  auth: {type: bearer, token_env: OPENAI_API_KEY}
search_space:
  parameters:
    model: [gpt-4.1-mini, gpt-4.1-nano]
    temperature: {type: float, min: 0, max: 1, step: 0.1}
evaluation:
  test_cases: cases.json
  metrics:
    quality: {weight: 0.7, function: contains}
    cost: 0.3
budget: {usd: 2.00}
```

- Paths in `evaluation` and `search_space` are relative to the study file, those in `output` and `legacy` to the current
  folder.
- Keys are never written into the file, only names of environment variables.
- `yes`, `no`, `on`, `off` and dates are text where a value can be anything; `true` and `false` are flags; `1e-5` and
  `1_000` are numbers. Duplicate keys, and aliases that repeat themselves without end, are mistakes.
- A test case is `{id, input, expected, assert, weight, tags, metadata, description}`; only an input is needed, and
  without the key `input` all other keys are the input. Tables have a column for each: `input.x` or plain `x`,
  `expected` or `expected.x`, `metadata.x`, `id`, `weight`, `tags`. Cells are text, unless they are JSON lists or
  objects.
- A metric is measured (`latency_ms`, `ttft_ms`, `cost_usd`, `input_tokens`, `output_tokens`, `total_tokens`,
  `success_rate`), or has a `function`, or comes from the custom evaluator; `evaluator.py` with `score_response` beside
  the study is found by itself. Only `quality` and `accuracy` may be inferred from what all cases expect:
  `{min_length, max_length}` is `length`, numbers are `numeric`, texts are `contains` for quality and `exact` for
  accuracy.
"""


def reference() -> str:
    """Return the reference page in Markdown."""
    parts = [_INTRODUCTION]
    for path, section in _sections((), StudySpec):
        title = _dotted(path) or "The whole file"
        rows = "\n".join(_row(path, name, field, section) for name, field in section.model_fields.items())
        summary = (section.__doc__ or "").strip()
        parts.append(f"## {title}\n\n{summary}\n\n| key | type | default | meaning |\n|---|---|---|---|\n{rows}\n")
    return "\n".join(parts)


def json_schema() -> Json:
    """Return the JSON schema of the study file, shorthands included, for editors."""
    schema = StudySpec.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    for name, keys in _MORE_KEYS.items():
        definitions[name]["properties"] |= keys
    definitions["ParameterSection"]["properties"]["choices"] = definitions["ParameterSection"]["properties"]["values"]
    definitions["Auth"]["properties"]["api_key_header"] = definitions["Auth"]["properties"]["header_name"]
    for name, options in SHORTHANDS.items():
        definitions[name] = {"anyOf": [definitions[name], *options]}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Study", **_without_titles(schema)}


def _sections(
    path: tuple[str, ...], section: type[Section], above: tuple[type[Section], ...] = ()
) -> Iterator[tuple[tuple[str, ...], type[Section]]]:
    yield path, section
    for name, field in section.model_fields.items():
        inner, is_named = _inner(field.annotation)
        if inner is not None and inner not in (*above, section):
            key = (*path, _key(name, field), *((NAME,) if is_named else ()))
            yield from _sections(key, inner, (*above, section))


def _inner(kind: Any) -> tuple[type[Section] | None, bool]:
    """Return the section inside an annotation, and whether it stands under a name of the user's."""
    if isinstance(kind, type) and issubclass(kind, Section):
        return kind, False
    origin, arguments = get_origin(kind), [part for part in get_args(kind) if part not in (NoneType, Ellipsis)]
    if hasattr(kind, "__metadata__"):
        return _inner(arguments[0])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _inner(arguments[-1])[0], True
    found = [_inner(part) for part in arguments if origin is not Literal]
    return next((result for result in found if result[0] is not None), (None, False))


def _row(path: tuple[str, ...], name: str, field: FieldInfo, owner: type[Section]) -> str:
    key = _key(name, field)
    alias = field.validation_alias
    others = [str(choice) for choice in alias.choices[1:]] if isinstance(alias, AliasChoices) else []
    keys = ", ".join(f"`{each}`" for each in [key, *others])
    meaning = " ".join((field.description or "").split())
    if field.json_schema_extra == LATER:
        meaning = f"*Accepted, not acted on yet.* {meaning}"
    if field.json_schema_extra == IGNORED:
        meaning = f"*Accepted, no effect.* {meaning}"
    cells = (
        keys,
        _type(field, path if _inner(field.annotation)[0] is owner else (*path, key)),
        _default(field),
        meaning,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _key(name: str, field: FieldInfo) -> str:
    if isinstance(field.validation_alias, AliasChoices):
        return str(field.validation_alias.choices[0])
    return field.alias or name


def _type(field: FieldInfo, path: tuple[str, ...]) -> str:
    section, is_named = _inner(field.annotation)
    if section is not None:
        title = _dotted((*path, NAME) if is_named else path)
        return f"{'names to ' if is_named else ''}[{title}](#{_anchor(title)})"
    return _words(field.annotation, field.metadata)


def _words(kind: Any, limits: Sequence[Any] = ()) -> str:
    named = {str: "text", int: "whole number", float: "number", bool: "flag"}
    for meaning, special in {"environment variable": EnvironmentName, "JMESPath": JmesPath}.items():
        # pydantic moves the outermost annotations of a key into its metadata.
        if kind == special or get_args(special)[1] in limits:
            return meaning
    origin, arguments = get_origin(kind), [part for part in get_args(kind) if part not in (NoneType, Ellipsis)]
    if hasattr(kind, "__metadata__"):
        return _words(arguments[0], [*kind.__metadata__, *limits])
    if origin in {Union, UnionType}:
        return " or ".join(_words(part, limits) for part in arguments)
    return (
        _of(origin, arguments)
        if isinstance(origin, type) or origin is Literal
        else named.get(kind, "any") + _bounds(limits)
    )


def _of(origin: Any, arguments: Sequence[Any]) -> str:
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in arguments)
    return f"{'names to' if issubclass(origin, Mapping) else 'list of'} {_words(arguments[-1])}"


def _bounds(limits: Sequence[Any]) -> str:
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    inner = [part for limit in limits for part in getattr(limit, "metadata", None) or [limit]]
    found = [
        f"{sign} {getattr(limit, name):g}" for limit in inner for name, sign in signs.items() if hasattr(limit, name)
    ]
    return f" {', '.join(found)}" if found else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is None or default is PydanticUndefined or isinstance(default, Section) or default in ({}, (), ""):
        return ""
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def _dotted(path: Sequence[str]) -> str:
    return ".".join(path)


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9_-]", "", title.lower())


def _without_titles(schema: Json) -> Json:
    if isinstance(schema, list):
        return [_without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not (key == "title" and isinstance(value, str))}
    return {key: _without_titles(value) for key, value in kept.items()}


if __name__ == "__main__":
    page = Path(__file__).parents[2] / "docs" / "study-reference.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(reference(), encoding="utf-8")
