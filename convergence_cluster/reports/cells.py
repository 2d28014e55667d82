"""CSV that no spreadsheet runs: text that would start a formula is quoted with an apostrophe."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Sequence
from types import NoneType

from convergence_cluster.domain.identity import Json
from convergence_cluster.reports.wording import finite

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for the start of a formula, full-width forms included.

Source: OWASP, CSV Injection, 2025.
"""

_SUSPECT = frozenset((*_FORMULA, " "))
_PLAIN = frozenset((int, bool, NoneType))


def cell(value: Json) -> str:
    """Return a value as one cell: numbers and flags as Python writes them, None empty, mappings and lists as JSON."""
    match value:
        case None:
            return ""
        case str():
            return _safe(value)
        case bool() | int():
            return str(value)
        case float():
            return "" if finite(value) is None else repr(value)
        case _:
            return _safe(json.dumps(value, ensure_ascii=False, default=str))


def table(header: Sequence[str], rows: Iterable[Sequence[Json]]) -> str:
    """Return a CSV document with CRLF lines, as RFC 4180 has it."""
    lines = io.StringIO(newline="")
    writer = csv.writer(lines)
    writer.writerow([cell(name) for name in header])
    writer.writerows([value if _is_plain(value) else cell(value) for value in row] for row in rows)
    return lines.getvalue()


def _is_plain(value: Json) -> bool:
    """Say whether the writer makes the same of a value as `cell`, which is most of them and twice as quick."""
    kind = type(value)
    if kind is str:
        return value[:1] not in _SUSPECT and "\x00" not in value
    return kind in _PLAIN or (kind is float and math.isfinite(value))


def _safe(text: str) -> str:
    text = text.replace("\x00", "\ufffd")
    if text[:1] not in _SUSPECT:
        return text
    is_formula = text.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text
