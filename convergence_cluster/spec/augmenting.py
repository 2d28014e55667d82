"""More test cases made from those given, where what is expected can be worked out again.

No label is ever kept for a question that has changed. What can be worked out is plain arithmetic: a question of safe
words around one calculation whose result is all that is expected. Anything else, a model may put into other words:
`convergence augment`.
"""

import hashlib
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.identity import CaseId, Json
from convergence_cluster.spec.schema_evaluation import Augmentation

_CALCULATION: Final = re.compile(r"(?<![\w.,])(\d{1,6})(\s*)([-+*/x×·÷\u2212])(\s*)(\d{1,6})(?!\w|[.,]\d)")  # noqa: RUF001
_OPERATORS: Final[Mapping[str, Callable[[int, int], int]]] = {
    "+": operator.add,
    "-": operator.sub,
    "\u2212": operator.sub,
    "*": operator.mul,
    "x": operator.mul,
    "×": operator.mul,  # noqa: RUF001
    "·": operator.mul,
    "/": operator.floordiv,
    "÷": operator.floordiv,
}
_DIVISIONS: Final = frozenset({"/", "÷"})
_SAFE_TEXT: Final = """
a and answer as by calculate calculation can compute could determine does equal equals evaluate exactly find for give
how i in is it just let many me much nothing number of only please question reply respond result s solve sum tell that
the then times value what whats with work out write you your product difference quotient else hi hello thanks
"""
_SAFE_WORDS: Final = frozenset(_SAFE_TEXT.split())
"""Words that leave the result as it is. A word such as `half`, `rounded` or `squared` does not."""

_MANY_TRIES: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sum:
    """A calculation in one text of an input."""

    key: str
    match: re.Match[str]

    def again(self, a: int, b: int) -> str:
        """Return the text with other numbers."""
        start, end = self.match.span()
        text = self.match.string
        return f"{text[:start]}{a}{self.match[2]}{self.match[3]}{self.match[4]}{b}{text[end:]}"


def augmented(
    cases: Sequence[TestCase], section: Augmentation, seed: int
) -> tuple[tuple[TestCase, ...], tuple[str, ...]]:
    """Return the cases with those that could be made of them, and what the user should know. Equal seeds agree."""
    if not section.enabled:
        return tuple(cases), ()
    n_wanted = max(0, round(len(cases) * (section.augmentation_factor - 1.0)))
    reasons: Counter[str] = Counter()
    able: list[tuple[TestCase, _Sum]] = []
    for case in cases:
        found = _sum_of(case)
        if isinstance(found, str):
            reasons[found] += 1
        else:
            able.append((case, found))
    made = _made(cases, able, n_wanted, seed)
    kept = cases if section.preserve_originals else [case for case in cases if case.id not in {m for m, _ in made}]
    return (*kept, *(case for _, case in made)), _notes(n_wanted, len(made), reasons)


def _made(
    cases: Sequence[TestCase], able: Sequence[tuple[TestCase, _Sum]], n_wanted: int, seed: int
) -> list[tuple[CaseId, TestCase]]:
    """Return new cases, each with the id of the case that it is made of."""
    made: list[tuple[CaseId, TestCase]] = []
    seen = {repr(case.input) for case in cases}
    for attempt in range(_MANY_TRIES * max(1, n_wanted)):
        if len(made) >= n_wanted or not able:
            break
        case, found = able[attempt % len(able)]
        new = _changed(case, found, f"{seed}:{case.id}:{attempt}", number=2 + sum(of == case.id for of, _ in made))
        if repr(new.input) not in seen:
            seen.add(repr(new.input))
            made.append((case.id, new))
    return made


def _notes(n_wanted: int, n_made: int, reasons: Counter[str]) -> tuple[str, ...]:
    place = "evaluation.test_cases.augmentation"
    notes = [f"{place}: {n_made} of {n_wanted} more cases made, what they expect worked out anew"]
    if reasons and n_made < n_wanted:
        why = "; ".join(f"{n} {reason}" for reason, n in reasons.most_common())
        notes.append(f"{place}: no case was made of {reasons.total()}: {why}; `convergence augment` rewords them")
    return tuple(notes)


def _sum_of(case: TestCase) -> _Sum | str:
    """Return the one calculation that a case asks for, or why it cannot be asked with other numbers."""
    if case.asserts:
        return "with assertions of their own"
    found = [
        _Sum(key=key, match=match)
        for key, value in case.input.items()
        if isinstance(value, str)
        for match in _CALCULATION.finditer(value)
    ]
    if len(found) != 1 or not all(isinstance(value, str) for value in case.input.values()):
        return "without one plain calculation"
    (calculation,) = found
    result = _result(calculation.match)
    if result is None or not _is_all(case.expected, result):
        return "whose calculation does not give what is expected"
    rest = " ".join(str(value) for value in case.input.values()).replace(calculation.match[0], " ", 1)
    words = re.findall(r"\w+", rest.lower().replace("'", ""))
    if any(word not in _SAFE_WORDS for word in words):
        return "whose wording may change the result"
    return calculation


def _result(match: re.Match[str]) -> int | None:
    a, sign, b = int(match[1]), match[3], int(match[5])
    if sign in _DIVISIONS and (b == 0 or a % b):
        return None
    return _OPERATORS[sign](a, b)


def _is_all(expected: Json, result: int) -> bool:
    """Say whether everything that is expected is this number."""
    if isinstance(expected, Mapping):
        return bool(expected) and all(_is_all(value, result) for value in expected.values())
    if isinstance(expected, list):
        return bool(expected) and all(_is_all(value, result) for value in expected)
    return not isinstance(expected, bool) and expected in (result, str(result))


def _replaced(expected: Json, result: int) -> Json:
    if isinstance(expected, Mapping):
        return {key: _replaced(value, result) for key, value in expected.items()}
    if isinstance(expected, list):
        return [_replaced(value, result) for value in expected]
    return str(result) if isinstance(expected, str) else result


def _changed(case: TestCase, found: _Sum, salt: str, *, number: int) -> TestCase:
    """Return the case with other numbers of the same lengths, and what they give."""
    digest = int.from_bytes(hashlib.sha256(salt.encode()).digest()[:16], "big")
    a, digest = _drawn(found.match[1], digest)
    b, _ = _drawn(found.match[5], digest)
    sign = found.match[3]
    if sign in _DIVISIONS:
        b = max(b, 1)
        a = max(b, a - a % b)
    result = _OPERATORS[sign](a, b)
    return replace(
        case,
        id=CaseId(f"{case.id}~{number}"),
        input={**case.input, found.key: found.again(a, b)},
        expected=_replaced(case.expected, result),
        metadata={**case.metadata, "augmented_from": case.id},
    )


def _drawn(number: str, digest: int) -> tuple[int, int]:
    low = 10 ** (len(number) - 1) if len(number) > 1 else 1
    span = 10 ** len(number) - low
    return low + digest % span, digest // span
