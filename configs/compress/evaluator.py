"""How the answers of the compress study are scored."""

from collections.abc import Mapping
from typing import Any


def score_response(result: Mapping[str, Any], expected: object, params: Mapping[str, Any]) -> float:  # noqa: ARG001
    """Return the share of bytes saved, in [0, 1]; 0 where the codec made the file larger."""
    return max(0.0, float(result["saved"]))
