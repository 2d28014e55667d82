"""JSON schemas made plain: parts put together, null left out, one branch chosen where several would do."""

from collections.abc import Mapping
from dataclasses import dataclass

from convergence_cluster.domain.identity import Json
from convergence_cluster.drafting.openapi import OpenApi

_MAX_DEPTH = 12
_SCALARS = {"string", "number", "integer", "boolean"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Objects of several kinds that one property tells apart."""

    name: str
    """The property."""
    branches: Mapping[Json, Mapping[str, Json]]
    """Its value -> the merged schema of objects of that kind."""


def merged(api: OpenApi, schema: Json, *, depth: int = 0) -> dict[str, Json]:
    """Return a schema with its references and `allOf` folded in and null left out.

    Alternatives that are scalars become one scalar; those that are objects stay, for `choice_of` and `branch_of`.
    """
    found = api.follow(schema)
    if depth > _MAX_DEPTH:
        return found
    for part in found.pop("allOf", None) or ():
        found = _joined(merged(api, part, depth=depth + 1), found)
    for key in ("anyOf", "oneOf"):
        branches = [merged(api, branch, depth=depth + 1) for branch in found.get(key) or ()]
        branches = [branch for branch in branches if not _is_null(branch)]
        if len(branches) == 1:
            del found[key]
            found = _joined(branches[0], found)
        elif branches and all(_is_scalar(branch) for branch in branches):
            del found[key]
            found = _joined(_widest(branches), found)
        elif branches:
            found[key] = branches
    kind = found.get("type")
    if isinstance(kind, list):
        kinds = [each for each in kind if each != "null"]
        found["type"] = kinds[0] if kinds else "null"
    if isinstance(found.get("enum"), list):
        found["enum"] = [value for value in found["enum"] if value is not None]
    return found


def type_of(schema: Mapping[str, Json]) -> str | None:
    """Return the JSON type of a merged schema, as far as it says or shows."""
    kind = schema.get("type")
    if isinstance(kind, str):
        return kind
    if "properties" in schema:
        return "object"
    if "items" in schema:
        return "array"
    values = [schema["const"]] if "const" in schema else schema.get("enum") or []
    kinds = {_type_of_value(value) for value in values}
    return kinds.pop() if len(kinds) == 1 else None


def constant_of(schema: Mapping[str, Json]) -> tuple[Json] | None:
    """Return the one value that a merged schema allows, or None."""
    if "const" in schema:
        return (schema["const"],)
    values = schema.get("enum")
    return (values[0],) if isinstance(values, list) and len(values) == 1 else None


def choice_of(api: OpenApi, schema: Mapping[str, Json]) -> Choice | None:
    """Return the kinds of objects among the alternatives of a merged schema, or None where nothing tells them apart."""
    branches = [merged(api, each) for each in schema.get("oneOf") or schema.get("anyOf") or ()]
    branches = [_joined(branch, _without_alternatives(schema)) for branch in branches if type_of(branch) == "object"]
    if len(branches) <= 1:
        return None
    given = schema.get("discriminator")
    named = given.get("propertyName") if isinstance(given, Mapping) else None
    for name in [named] if named else list(branches[0].get("properties") or ()):
        values = [constant_of(merged(api, (branch.get("properties") or {}).get(name))) for branch in branches]
        known = [value[0] for value in values if value is not None and isinstance(value[0], str | int | bool)]
        if len(known) == len(branches) == len(set(map(repr, known))):
            return Choice(name=str(name), branches=dict(zip(known, branches, strict=True)))
    return None


def branch_of(api: OpenApi, schema: Mapping[str, Json]) -> dict[str, Json]:
    """Return a merged schema without alternatives: the first of them, text before others."""
    branches = [merged(api, each) for each in schema.get("oneOf") or schema.get("anyOf") or ()]
    if not branches:
        return dict(schema)
    chosen = next((branch for branch in branches if type_of(branch) == "string"), branches[0])
    return branch_of(api, _joined(chosen, _without_alternatives(schema)))


def bounds_of(schema: Mapping[str, Json]) -> tuple[float | None, float | None]:
    """Return the smallest and the largest number allowed; exclusive ones moved inside."""
    low, high = _number(schema.get("minimum")), _number(schema.get("maximum"))
    below, above = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    is_low_out = below is True or (_number(below) is not None and below is not True)
    is_high_out = above is True or (_number(above) is not None and above is not True)
    low = low if below is True or _number(below) is None else _number(below)
    high = high if above is True or _number(above) is None else _number(above)
    inside = (
        1.0 if type_of(schema) == "integer" else 0.01 * ((high - low) if low is not None and high is not None else 1)
    )
    return (
        low + inside if is_low_out and low is not None else low,
        high - inside if is_high_out and high is not None else high,
    )


def _joined(part: Mapping[str, Json], whole: Mapping[str, Json]) -> dict[str, Json]:
    """Return both schemas at once; what the whole says itself goes before what its part says."""
    joined = {**part, **whole}
    if part.get("properties") or whole.get("properties"):
        joined["properties"] = {**(part.get("properties") or {}), **(whole.get("properties") or {})}
    if part.get("required") or whole.get("required"):
        joined["required"] = list(dict.fromkeys([*(part.get("required") or ()), *(whole.get("required") or ())]))
    return joined


def _without_alternatives(schema: Mapping[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in schema.items() if key not in {"oneOf", "anyOf", "discriminator"}}


def _widest(branches: list[dict[str, Json]]) -> dict[str, Json]:
    """Return one scalar for several: the values that any of them lists, in the type of the first that lists some."""
    values = [value for branch in branches for value in [*(branch.get("enum") or ()), *(constant_of(branch) or ())]]
    unique = [value for n, value in enumerate(values) if value not in values[:n]]
    chosen = next((branch for branch in branches if branch.get("enum") or "const" in branch), branches[0])
    kept = {key: value for key, value in chosen.items() if key not in {"enum", "const"}}
    return {**kept, "enum": unique} if unique else kept


def _is_null(schema: Mapping[str, Json]) -> bool:
    return schema.get("type") == "null" or schema.get("enum") == [] or schema.get("const", 0) is None


def _is_scalar(schema: Mapping[str, Json]) -> bool:
    return type_of(schema) in _SCALARS and "anyOf" not in schema and "oneOf" not in schema


def _number(value: Json) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _type_of_value(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"
