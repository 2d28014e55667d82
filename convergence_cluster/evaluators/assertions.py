"""What promptfoo's assertions mean. Each is pure: `(answer, value, assertion) -> score in [0, 1]`.

Those that a pass mark turns into 1 or 0 are `GRADED`; the others are 1 or 0 by themselves.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

from rapidfuzz.distance import Levenshtein

from convergence_cluster.domain.calls import Answer, Finish
from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.domain.identity import Json
from convergence_cluster.evaluators import markup, overlap
from convergence_cluster.evaluators.expectations import as_text, as_texts
from convergence_cluster.evaluators.structure import is_valid
from convergence_cluster.evaluators.text import pattern

Check: TypeAlias = Callable[[Answer, Json, Mapping[str, Json]], float]

_EDITS: Final = 5
_REFUSALS: Final = re.compile(
    r"\b(?:I(?:'m| am)? (?:sorry|unable to|not able to)|I (?:can(?:'t|not)|won't|must decline|have to decline)|"
    r"as an AI(?: language model)?|I(?:'m| am) (?:just )?an AI|against my (?:guidelines|programming|policy)|"
    r"I do(?:n't| not) (?:feel comfortable|have the ability))\b",
    re.IGNORECASE,
)
_OPENING_CHARS: Final = 200
"""A refusal says so at once; the same words later in an answer mean something else."""


def _equals(answer: Answer, value: Json, _: Mapping[str, Json]) -> float:
    alternatives = value if isinstance(value, list) else [value]
    return float(any(_is_same(answer.text, item) for item in [*alternatives, value]))


def _is_same(text: str, value: Json) -> bool:
    if isinstance(value, str):
        return text.strip() == value.strip()
    try:
        return bool(json.loads(text) == value)
    except (ValueError, RecursionError):
        return False


def _contains(
    answer: Answer, value: Json, _: Mapping[str, Json], *, folds: bool = False, takes: Callable[..., bool] | None = None
) -> float:
    text = answer.text.casefold() if folds else answer.text
    wanted = _listed(value) if takes else (as_text(value),)
    return float((takes or all)((part.casefold() if folds else part) in text for part in wanted))


def _listed(value: Json) -> Sequence[str]:
    texts = value.split(",") if isinstance(value, str) else as_texts(value)
    parts = tuple(text.strip() for text in texts if text.strip())
    if not parts:
        raise PermanentError("the list of texts is empty")
    return parts


def _starts_with(answer: Answer, value: Json, _: Mapping[str, Json]) -> float:
    return float(answer.text.startswith(as_text(value)))


def _regex(answer: Answer, value: Json, _: Mapping[str, Json]) -> float:
    return float(any(pattern(text, 0).search(answer.text) is not None for text in as_texts(value)))


def _levenshtein(answer: Answer, value: Json, assertion: Mapping[str, Json]) -> float:
    distance = min(Levenshtein.distance(answer.text, text) for text in _references(value))
    return float(distance <= assertion.get("threshold", _EDITS))


def _rouge(answer: Answer, value: Json, assertion: Mapping[str, Json]) -> float:
    n = assertion.get("n", 1)
    return max(overlap.rouge_n(answer.text, text, n) for text in _references(value))


def _bleu(answer: Answer, value: Json, _: Mapping[str, Json]) -> float:
    return overlap.bleu(answer.text, _references(value))


def _references(value: Json) -> Sequence[str]:
    texts = as_texts(value)
    if not texts:
        raise PermanentError("the list of references is empty")
    return texts


def _is_json(answer: Answer, value: Json, _: Mapping[str, Json]) -> float:
    return float(markup.is_json(answer.text, partial(_fits, schema=value)))


def _contains_json(answer: Answer, value: Json, _: Mapping[str, Json]) -> float:
    return float(markup.contains_json(answer.text, partial(_fits, schema=value)))


def _fits(value: Json, schema: Json) -> bool:
    return schema is None or is_valid(value, schema)


def _is_xml(answer: Answer, value: Json, _: Mapping[str, Json]) -> float:
    return float(markup.is_xml(answer.text, value))


def _contains_xml(answer: Answer, value: Json, _: Mapping[str, Json]) -> float:
    return float(markup.contains_xml(answer.text, value))


def _is_refusal(answer: Answer, _: Json, __: Mapping[str, Json]) -> float:
    text = answer.text.strip().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    is_refused = answer.finish is Finish.REFUSAL or not text
    return float(is_refused or _REFUSALS.search(text[:_OPENING_CHARS]) is not None)


def _word_count(answer: Answer, value: Json, _: Mapping[str, Json]) -> float:
    n_words = len(answer.text.split())
    bounds = value if isinstance(value, Mapping) else {"min": value, "max": value}
    low, high = bounds.get("min"), bounds.get("max")
    wrong = f"{value!r:.60}: expected a number of words, or min and max"
    if low is None and high is None:
        raise PermanentError(wrong)
    try:
        return float((low is None or n_words >= float(low)) and (high is None or n_words <= float(high)))
    except (TypeError, ValueError):
        raise PermanentError(wrong) from None


def _latency(answer: Answer, _: Json, assertion: Mapping[str, Json]) -> float:
    return float(answer.latency_s * 1000.0 <= assertion["threshold"])


def _cost(answer: Answer, _: Json, assertion: Mapping[str, Json]) -> float:
    if answer.cost_usd is None:
        raise PermanentError("cost: no price is known; state prices in the study file")
    return float(answer.cost_usd <= assertion["threshold"])


CHECKS: Mapping[str, Check] = {
    "equals": _equals,
    "contains": _contains,
    "icontains": partial(_contains, folds=True),
    "contains-any": partial(_contains, takes=any),
    "contains-all": partial(_contains, takes=all),
    "icontains-any": partial(_contains, folds=True, takes=any),
    "icontains-all": partial(_contains, folds=True, takes=all),
    "starts-with": _starts_with,
    "regex": _regex,
    "levenshtein": _levenshtein,
    "rouge-n": _rouge,
    "bleu": _bleu,
    "is-json": _is_json,
    "contains-json": _contains_json,
    "is-xml": _is_xml,
    "contains-xml": _contains_xml,
    "is-refusal": _is_refusal,
    "word-count": _word_count,
    "latency": _latency,
    "cost": _cost,
}
"""What needs the answer alone."""

GRADED = frozenset({"rouge-n", "bleu", "python", "llm-rubric", "similar"})
"""Types whose score lies between 0 and 1; a threshold makes it 1 from there on, else 0."""

WITHOUT_VALUE = frozenset({"is-json", "contains-json", "is-xml", "contains-xml", "is-refusal", "latency", "cost"})
"""Types that compare with nothing unless told what with; all others fall back to the case's `expected`."""
