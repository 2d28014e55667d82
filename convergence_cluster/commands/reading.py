"""What people type in answer to a question, checked. All raise ValueError with what was expected."""

import argparse
import re
from collections.abc import Callable
from typing import TypeVar

from convergence_cluster.drafting.wishes import GOALS

Answer = TypeVar("Answer")

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEYLIKE = re.compile(r"(?:sk|pk|gsk|key|xai|hf|AIza)[-_]?[A-Za-z0-9_-]{16,}")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,59}")


def checked(read: Callable[[str], Answer]) -> Callable[[str], Answer]:
    """Return a reader whose complaints argparse shows."""

    def checked(text: str) -> Answer:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return checked


def read_text(text: str) -> str:
    """Return a text that is not empty."""
    if not text:
        raise ValueError("expected a file or a URL")
    return text


def read_name(text: str) -> str:
    """Return a study's name, with hyphens for blanks."""
    text = "-".join(text.split())
    if _NAME.fullmatch(text) is None:
        raise ValueError(f"{text!r}: expected letters, digits, '-', '_' and '.', at most 60")
    return text


def read_variable(text: str) -> str:
    """Return the name of an environment variable, or an empty text; refuse what looks like a key."""
    if _KEYLIKE.fullmatch(text) or (text and _VARIABLE.fullmatch(text) is None):
        raise ValueError("expected the name of a variable such as MY_API_KEY, not the key; keys never stand in files")
    return text


def read_models(text: str) -> tuple[str, ...]:
    """Return names between commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def read_goal(text: str) -> str:
    """Return one of the goals."""
    if text not in GOALS:
        raise ValueError(f"{text!r}: expected one of {', '.join(GOALS)}")
    return text


def read_usd(text: str) -> float:
    """Return an amount above 0."""
    return _number(text, "an amount in USD above 0", is_zero_allowed=False)


def read_price(text: str) -> float:
    """Return a price from 0 on."""
    return _number(text, "a price in USD from 0 on", is_zero_allowed=True)


def read_unsure_price(text: str) -> float | None:
    """Return a price, or None where it is not known."""
    return None if text in {"?", ""} else read_price(text)


def read_count(text: str) -> int:
    """Return a whole number above 0."""
    if not text.isdigit() or int(text) == 0:
        raise ValueError(f"{text!r}: expected a whole number above 0")
    return int(text)


def _number(text: str, expected: str, *, is_zero_allowed: bool) -> float:
    try:
        value = float(text.removeprefix("$"))
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf") or (value == 0 and not is_zero_allowed):
        raise ValueError(f"{text!r}: expected {expected}")
    return value
