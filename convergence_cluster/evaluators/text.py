"""Metrics that compare texts. Each is pure: `(answer, expected, options) -> float in [0, 1]`.

Options that all share: `ignore_case` (default false for `exact` and `regex`, true elsewhere). Surrounding blanks never
count.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.domain.identity import Json
from convergence_cluster.evaluators.expectations import as_texts, expected_under

Options = Mapping[str, Json]
_NO_WORD = re.compile(r"[\W_]+")


def exact(answer: str, expected: Json, options: Options) -> float:
    """1 if the answer is one of the expected texts."""
    found = _folded(answer.strip(), options, default=False)
    alternatives = as_texts(expected_under(expected, "exact", "equals"))
    return float(any(found == _folded(text.strip(), options, default=False) for text in alternatives))


def contains_any(answer: str, expected: Json, options: Options) -> float:
    """1 if the answer contains at least one of the expected texts."""
    return float(any(_found(answer, expected_under(expected, "contains_any", "contains"), options)))


def contains_all(answer: str, expected: Json, options: Options) -> float:
    """The share of the expected texts that the answer contains: 1 for all, 0.5 for every second one."""
    found = _found(answer, expected_under(expected, "contains_all", "contains"), options)
    return sum(found) / len(found)


def contains(answer: str, expected: Json, options: Options) -> float:
    """As `contains_all` where `expected` says so or the option `mode` is `all`, else as `contains_any`."""
    is_all = options.get("mode") == "all" or (isinstance(expected, Mapping) and "contains_all" in expected)
    return contains_all(answer, expected, options) if is_all else contains_any(answer, expected, options)


def starts_with(answer: str, expected: Json, options: Options) -> float:
    """1 if the answer starts with one of the expected texts."""
    texts = as_texts(expected_under(expected, "starts_with"))
    found = _folded(answer.strip(), options, default=False)
    return float(any(found.startswith(_folded(text.strip(), options, default=False)) for text in texts))


def regex(answer: str, expected: Json, options: Options) -> float:
    """1 if one of the expected patterns is found anywhere in the answer (`options.pattern` overrules `expected`)."""
    patterns = options.get("pattern") or expected_under(expected, "regex", "pattern")
    flags = re.DOTALL | (re.IGNORECASE if options.get("ignore_case") else 0)
    return float(any(pattern(text, flags).search(answer) for text in as_texts(patterns)))


def levenshtein(answer: str, expected: Json, options: Options) -> float:
    """1 minus the edit distance over the longer length, to the nearest expected text."""
    return _best(answer, expected, options, Levenshtein.normalized_similarity)


def token_sort(answer: str, expected: Json, options: Options) -> float:
    """Similarity of the words in any order, punctuation aside, to the nearest expected text."""
    return _best(answer, expected, options, _on_words(fuzz.token_sort_ratio))


def token_set(answer: str, expected: Json, options: Options) -> float:
    """Similarity of the sets of words, punctuation aside: 1 where one text has all words of the other."""
    return _best(answer, expected, options, _on_words(fuzz.token_set_ratio))


def length(answer: str, expected: Json, options: Options) -> float:
    """1 while the answer's length is within `min` and `max`; outside, the ratio of bound and length.

    The bounds come from `options`, else from `expected` (also as `min_length`, `max_length`); `unit` is `chars`
    (default) or `words`.
    """
    bounds = {**(expected if isinstance(expected, Mapping) else {}), **options}
    low = bounds.get("min", bounds.get("min_length"))
    high = bounds.get("max", bounds.get("max_length"))
    if low is None and high is None:
        raise PermanentError("`length` needs `min` or `max`, in the metric's options or in `expected`")
    n_units = len(answer.split()) if bounds.get("unit") == "words" else len(answer.strip())
    if low is not None and n_units < low:
        return n_units / float(low)
    return float(high) / n_units if high is not None and n_units > high else 1.0


def _on_words(ratio: Callable[[str, str], float]) -> Callable[[str, str], float]:
    def similarity(a: str, b: str) -> float:
        return 1.0 if a == b else ratio(_NO_WORD.sub(" ", a), _NO_WORD.sub(" ", b)) / 100.0

    return similarity


def _best(answer: str, expected: Json, options: Options, similarity: Callable[[str, str], float]) -> float:
    found = _folded(answer.strip(), options, default=True)
    alternatives = as_texts(expected_under(expected, "similar", "exact", "equals"))
    if not alternatives:
        raise PermanentError("`expected` is an empty list")
    return max(similarity(found, _folded(text.strip(), options, default=True)) for text in alternatives)


def _found(answer: str, wanted: Json, options: Options) -> list[bool]:
    texts = as_texts(wanted)
    if not texts:
        raise PermanentError("`expected` is an empty list")
    folded = _folded(answer, options, default=True)
    return [_folded(text.strip(), options, default=True) in folded for text in texts]


def _folded(text: str, options: Options, *, default: bool) -> str:
    return text.casefold() if options.get("ignore_case", default) else text


@lru_cache(maxsize=4096)
def pattern(source: str, flags: int) -> re.Pattern[str]:
    """Return a compiled regular expression.

    Raises:
        PermanentError: it is not valid.
    """
    try:
        return re.compile(source, flags)
    except re.error as error:
        raise PermanentError(f"{source!r} is not a valid regular expression: {error}") from None
