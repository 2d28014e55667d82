"""An evaluator as the-convergence 0.1.x called it."""

import re
from collections.abc import Mapping
from typing import Any


def score_response(
    result: Mapping[str, Any],
    expected: Mapping[str, Any],
    params: Mapping[str, Any],  # noqa: ARG001 - part of the signature
    metric: str | None = None,  # noqa: ARG001 - as above
) -> float:
    """Return 1 if the expected word stands in the answer, else 0."""
    text = result["choices"][0]["message"]["content"]
    return float(re.search(rf"\b{re.escape(expected['answer'])}\b", text, re.IGNORECASE) is not None)
