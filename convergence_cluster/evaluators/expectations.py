"""What `expected` of a test case may look like, read once for every evaluator.

A text, number or flag stands for itself; a list for any of its items; a mapping for the value under the evaluator's own
key (`contains`, `regex`, ...), else under `answer`, `text`, `value`, `output`, `expected` or `label`.
"""

import json
from collections.abc import Mapping

from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.domain.identity import Json

_ANSWER_KEYS = ("answer", "text", "value", "output", "expected", "label")


def expected_under(expected: Json, *own_keys: str) -> Json:
    """Return what an evaluator compares with.

    Raises:
        PermanentError: nothing is expected, or a mapping has none of the keys.
    """
    if isinstance(expected, Mapping):
        for key in (*own_keys, *_ANSWER_KEYS):
            if key in expected:
                return expected[key]
        wanted = ", ".join(dict.fromkeys((*own_keys, *_ANSWER_KEYS)))
        raise PermanentError(f"`expected` has the keys {sorted(expected)}; one of {wanted} was expected")
    if expected is None:
        raise PermanentError("the test case has no `expected` to compare the answer with")
    return expected


def as_texts(value: Json) -> tuple[str, ...]:
    """Return the alternatives of an expectation as texts."""
    items = value if isinstance(value, list | tuple) else (value,)
    return tuple(as_text(item) for item in items)


def as_text(value: Json) -> str:
    """Return a text as it is, and any other JSON value as compact JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
