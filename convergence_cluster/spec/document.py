"""YAML and JSON files as plain values that remember their lines."""

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Final, NoReturn

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.nodes import Node, NodeBuilder, finite, is_unicode, refuse, whole
from convergence_cluster.spec.problems import Problem, raise_all, shown

MAX_BYTES: Final = 10_000_000
"""Largest file that is read."""


class Document:
    """A parsed file. `name` is what messages call it; `value` is its content without lines."""

    def __init__(self, name: str, value: Json, read_root: Callable[[], Node]) -> None:
        self.name = name
        self.value = value
        self._read_root = read_root

    @cached_property
    def _root(self) -> Node | None:
        try:
            return self._read_root()
        except SpecError:
            return None

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line of a path, or of the deepest part of it that exists."""
        line, node = 1, self._root
        for part in path:
            if node is None:
                break
            if isinstance(part, int):
                node = node.items[part] if node.items is not None and part < len(node.items) else None
                line = line if node is None else node.line
            else:
                line = node.key_lines.get(part, line)
                node = None if node.keys is None else node.keys.get(part)
        return line

    def problem(self, path: Sequence[str | int], message: str) -> Problem:
        """Return a problem at a path of this file."""
        return Problem(path=tuple(path), message=message, file=self.name, line=self.line(path))


def parse(text: str, name: str) -> Document:
    """Return the value of a YAML text, or of a JSON text where the name ends in `.json`.

    Raises:
        SpecError: not well-formed, duplicate keys, foreign tags, too large, too deep, or too much repeated by aliases.
    """
    if len(text.encode(errors="replace")) > MAX_BYTES:
        refuse(name, 0, f"the file has more than {MAX_BYTES // 1_000_000} MB")
    text = text.removeprefix("\ufeff")
    return _parse_json(text, name) if name.endswith(".json") else _parse_yaml(text, name)


def decode(content: bytes, name: str) -> str:
    """Return the text of a file.

    Raises:
        SpecError: too large, or not UTF-8.
    """
    if len(content) > MAX_BYTES:
        refuse(name, 0, f"the file has more than {MAX_BYTES // 1_000_000} MB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise_all([Problem(path=(), file=name, line=line, message="not UTF-8 text; save the file as UTF-8")])
        raise


def parse_json_line(text: str, name: str, line: int) -> Json:
    """Return the value of one line of JSON.

    Raises:
        SpecError: not well-formed, or duplicate keys.
    """
    try:
        return _json(text)
    except json.JSONDecodeError as error:
        refuse(name, line, f"not valid JSON: {error.msg}")
    except (RecursionError, ValueError) as error:
        refuse(name, line, f"not valid JSON: {error}")


def _parse_yaml(text: str, name: str) -> Document:
    root = NodeBuilder(name).build(text)
    return Document(name, root.plain(), lambda: root)


def _parse_json(text: str, name: str) -> Document:
    def read_root() -> Node:
        # A valid JSON text is YAML once its tabs are blanks: inside a string, JSON allows no raw tab.
        return NodeBuilder(name).build(text.replace("\t", " "))

    try:
        return Document(name, _json(text), read_root)
    except json.JSONDecodeError as error:
        refuse(name, error.lineno, f"not valid JSON: {error.msg}" if text.strip() else "the file is empty")
    except RecursionError:
        refuse(name, 0, "nested too deeply")
    except ValueError as error:
        read_root()  # Duplicate keys with their lines, where the text can be read as YAML.
        refuse(name, 0, f"not valid JSON: {error}")


def _json(text: str) -> Json:
    value = json.loads(
        text, parse_constant=_no_constant, parse_float=finite, parse_int=whole, object_pairs_hook=_unique
    )
    if "\\u" in text and not is_unicode(json.dumps(value, ensure_ascii=False)):
        message = "text with half a character (a lone surrogate)"
        raise ValueError(message)
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        message = f"duplicate key {shown(next(key for key in keys if keys.count(key) > 1))}"
        raise ValueError(message)
    return found


def _no_constant(text: str) -> NoReturn:
    message = f"{text} is not a finite number"
    raise ValueError(message)
