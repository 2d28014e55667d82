"""Ids, and the canonical form by which equal things have equal digests."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NewType, TypeAlias

Json: TypeAlias = Any
"""A JSON value: None, bool, int, float, str, list or mapping of such. Checked where it enters, by pydantic."""

Configuration: TypeAlias = Mapping[str, Json]
"""Parameter name to value. A conditional parameter that does not apply is absent, not None."""

StudyId = NewType("StudyId", str)
ArmId = NewType("ArmId", int)
"""The n-th arm a study opened, from 0. Arm 0 is the baseline."""
CaseId = NewType("CaseId", str)


def canonical_json(value: Json) -> str:
    """Return the one text that equal JSON values share: sorted keys, no blanks; 1.0 and 1 are the same number."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value: Json) -> str:
    """Return 32 hexadecimal digits that identify a JSON value (SHA-256 of its canonical text, truncated)."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()[:32]


def _plain(value: Json) -> Json:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
