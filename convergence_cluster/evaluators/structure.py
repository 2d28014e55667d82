"""Metrics that look for numbers and JSON. Each is pure: `(answer, expected, options) -> float in [0, 1]`."""

import json
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.domain.identity import Json, canonical_json
from convergence_cluster.evaluators.expectations import expected_under

Options = Mapping[str, Json]

_NUMBER = re.compile(r"(?:(?<![\w.])[-+])?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?")
_FENCE = re.compile(r"\A\s*```[\w-]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)
_SCHEMA_KEYS = frozenset({"type", "properties", "$ref", "anyOf", "oneOf", "allOf", "enum", "const", "items"})


def numeric(answer: str, expected: Json, options: Options) -> float:
    """1 if the last number in the answer is within tolerance of an expected one.

    `tolerance` is absolute, `relative_tolerance` (default 1e-6) a share of the expected number; the larger counts.
    With `scale`, the value falls linearly to 0 over `scale` beyond the tolerance; without, it is 0. `which: first`
    takes the first number. An answer without a number scores 0.
    """
    wanted = expected_under(expected, "number", "numeric")
    targets = [_number_of(item) for item in (wanted if isinstance(wanted, list | tuple) else (wanted,))]
    numbers = [float(text.replace(",", "")) for text in _NUMBER.findall(answer)]
    if not numbers:
        return 0.0
    found = numbers[0] if options.get("which") == "first" else numbers[-1]
    return max(_closeness(found, target, options) for target in targets)


def json_schema(answer: str, expected: Json, options: Options) -> float:
    """1 if the answer is JSON (a Markdown fence around it is allowed) that is valid against the schema, else 0.

    The schema is `options.schema`, else `expected.schema` or `expected.json_schema`, else `expected` itself if it
    looks like one.
    """
    schema = options.get("schema") or _schema_of(expected)
    try:
        value = json.loads(unfenced(answer))
    except ValueError:
        return 0.0
    return float(is_valid(value, schema))


def is_valid(value: Json, schema: Json) -> bool:
    """Say whether a value is valid against a JSON schema.

    Raises:
        PermanentError: the schema is not valid itself.
    """
    return bool(_validator(canonical_json(schema)).is_valid(value))


def unfenced(answer: str) -> str:
    """Return the content of an answer that is one Markdown code block, or the answer."""
    found = _FENCE.match(answer)
    return found[1] if found else answer


def _schema_of(expected: Json) -> Json:
    if isinstance(expected, Mapping):
        for key in ("schema", "json_schema"):
            if key in expected:
                return expected[key]
        if _SCHEMA_KEYS & expected.keys():
            return expected
    raise PermanentError("`json_schema` needs a schema, in the metric's options or in `expected.schema`")


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    decoded = json.loads(schema)
    try:
        Draft202012Validator.check_schema(decoded)
    except SchemaError as error:
        raise PermanentError(f"not a valid JSON schema: {error.message}") from None
    return Draft202012Validator(decoded)


def _number_of(value: Json) -> float:
    try:
        return float(value.replace(",", "") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        raise PermanentError(f"`expected` is {value!r}; a number was expected") from None


def _closeness(found: float, target: float, options: Options) -> float:
    relative = float(options.get("relative_tolerance", 1e-6))
    tolerance = max(float(options.get("tolerance", 0.0)), relative * abs(target))
    excess = abs(found - target) - tolerance
    if excess <= 0.0:
        return 1.0
    scale = options.get("scale")
    return 0.0 if not scale or not math.isfinite(excess) else max(0.0, 1.0 - excess / float(scale))
