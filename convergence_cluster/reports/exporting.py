"""The best configuration as a file that a program loads: JSON, YAML, Python or .env."""

import json
import pprint
import re
from collections import Counter
from enum import StrEnum
from typing import assert_never

from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.reports.results import plain


class ExportFormat(StrEnum):
    """How a configuration is written."""

    JSON = "json"
    YAML = "yaml"
    PYTHON = "python"
    ENV = "env"


_EXPONENT = re.compile(r"^(-?\d+)(e[+-]?\d+)$")
_INVISIBLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")
_BARE = re.compile(r"[A-Za-z0-9_./:+-]+")


def export(configuration: Configuration, form: ExportFormat, *, source: str = "") -> str:
    """Return the document; `source` says in a comment where it comes from, where the form has comments."""
    values = plain({**configuration})
    comment = f"# {' '.join(source.split())}\n" if source.strip() else ""
    match form:
        case ExportFormat.JSON:
            return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
        case ExportFormat.YAML:
            lines = "".join(f"{_flow(name)}: {_flow(value)}\n" for name, value in values.items())
            return comment + (lines or "{}\n")
        case ExportFormat.PYTHON:
            return f"{comment}BEST_CONFIG = {pprint.pformat(values, width=100, sort_dicts=False)}\n"
        case ExportFormat.ENV:
            return comment + "".join(f"{name}={_quoted(value)}\n" for name, value in _variables(values))
        case _:
            assert_never(form)


def _flow(value: Json) -> str:
    """Return a value as one line that YAML 1.1 and 1.2 read alike.

    JSON is nearly that; YAML 1.1 wants a point in a number with an exponent, and no invisible characters.
    """
    match value:
        case dict():
            return "{" + ", ".join(f"{_flow(str(key))}: {_flow(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str():
            return _INVISIBLE.sub(lambda m: f"\\u{ord(m[0]):04x}", json.dumps(value, ensure_ascii=False))
        case float():
            return _EXPONENT.sub(r"\1.0\2", json.dumps(value))
        case _:
            return json.dumps(value)


def _variables(values: dict[str, Json]) -> list[tuple[str, Json]]:
    """Return names that a shell accepts; two that become alike are numbered."""
    seen: Counter[str] = Counter()
    named = []
    for key, value in values.items():
        name = re.sub(r"[^A-Z0-9_]", "_", key.upper())
        name = f"_{name}" if not name or name[0].isdigit() else name
        seen[name] += 1
        named.append((name if seen[name] == 1 else f"{name}_{seen[name]}", value))
    return named


def _quoted(value: Json) -> str:
    """Return a value as POSIX shells read it; dotenv readers agree but for an apostrophe beside `$` or a backtick."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = text.replace("\x00", "")
    if _BARE.fullmatch(text):
        return text
    if "'" not in text:
        return f"'{text}'"
    return '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"'
