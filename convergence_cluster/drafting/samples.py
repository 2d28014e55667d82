"""A value that a schema accepts: what the document gives as an example, else the plainest that fits."""

from collections.abc import Mapping

from convergence_cluster.domain.identity import Json
from convergence_cluster.drafting.openapi import OpenApi
from convergence_cluster.drafting.shapes import bounds_of, branch_of, choice_of, constant_of, merged, type_of

_MAX_DEPTH = 8
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com",
    "url": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "byte": "aGVsbG8=",
    "binary": "hello",
}
_TEXTS = {
    "role": "user",
    "url": "https://example.com",
    "language": "en",
    "query": "What is the capital of France?",
    "q": "What is the capital of France?",
    "question": "What is the capital of France?",
    "prompt": "What is the capital of France?",
    "content": "What is the capital of France?",
    "text": "What is the capital of France?",
    "input": "What is the capital of France?",
}
_PREFERRED = ("user", "text")


def sample(api: OpenApi, schema: Json, name: str = "", *, depth: int = 0) -> Json:
    """Return a value for a property called `name`."""
    shape = merged(api, schema)
    constant = constant_of(shape)
    given = example_of(shape) if constant is None else constant[0]
    return _made(api, shape, name, depth) if given is None else given


def _made(api: OpenApi, shape: Mapping[str, Json], name: str, depth: int) -> Json:
    choice = choice_of(api, shape)
    if choice is not None:
        key = next((key for key in _PREFERRED if key in choice.branches), next(iter(choice.branches)))
        return {**_object(api, choice.branches[key], depth), choice.name: key}
    shape = branch_of(api, shape)
    kind = type_of(shape)
    if kind == "object":
        return _object(api, shape, depth)
    if kind == "array":
        n_items = max(1, int(shape.get("minItems") or 0))
        return [sample(api, shape.get("items"), name, depth=depth + 1)] * n_items if depth < _MAX_DEPTH else []
    return _scalar(shape, kind, name)


def _scalar(shape: Mapping[str, Json], kind: str | None, name: str) -> Json:
    if shape.get("enum"):
        return shape["enum"][0]
    if kind in {"integer", "number"}:
        return _number(shape, is_whole=kind == "integer")
    if kind == "boolean":
        return False
    return _text(shape, name) if kind in {"string", None} else None


def example_of(shape: Mapping[str, Json]) -> Json:
    """Return the value that a merged schema itself gives as an example or a default, or None."""
    examples = shape.get("examples")
    first = examples[0] if isinstance(examples, list) and examples else None
    found = next((value for value in (shape.get("example"), first, shape.get("default")) if value is not None), None)
    kinds = {"string": str, "array": list, "object": dict, "boolean": bool, "integer": int, "number": (int, float)}
    expected = kinds.get(type_of(shape) or "")
    is_fitting = expected is None or isinstance(found, expected)  # type: ignore[arg-type]  # a type or several
    return found if is_fitting and (not shape.get("enum") or found in shape["enum"]) else None


def _object(api: OpenApi, shape: Mapping[str, Json], depth: int) -> dict[str, Json]:
    if depth >= _MAX_DEPTH:
        return {}
    properties = shape.get("properties") or {}
    return {
        key: sample(api, properties.get(key) or {}, key, depth=depth + 1)
        for key in shape.get("required") or ()
        if not merged(api, properties.get(key) or {}).get("readOnly")
    }


def _number(shape: Mapping[str, Json], *, is_whole: bool) -> float:
    low, high = bounds_of(shape)
    value = low if low is not None else high if high is not None else 1.0
    step = shape.get("multipleOf")
    if isinstance(step, int | float) and step:
        value = -(-value // step) * step
    return int(value) if is_whole else value


def _text(shape: Mapping[str, Json], name: str) -> str:
    text = _FORMATS.get(str(shape.get("format"))) or _TEXTS.get(name.lower()) or name.replace("_", " ") or "hello"
    shortest, longest = int(shape.get("minLength") or 0), shape.get("maxLength")
    text = text if len(text) >= shortest else (text + " ") * (1 + shortest // (len(text) + 1))
    return text[: int(longest)] if isinstance(longest, int) else text
