"""YAML and JSON text as plain values that remember their lines. Refuses what no study needs and what would hurt.

Scalars follow the core schema of YAML 1.2, with two habits of YAML 1.1 kept: `1_000` is a number and `<<` merges.
So `no`, `on` and `2024-01-01` are text (a key that expects a flag still takes `yes` and `no`), and `1e-5` is a number.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

import yaml

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.problems import Problem, raise_all, shown

MAX_BYTES = 10_000_000
"""Largest file that is read."""

MAX_ALIASED_NODES = 100_000
"""Values that aliases may add to those written out."""

MAX_DEPTH = 64
"""Deepest nesting of lists and mappings."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+(_[0-9]+)*|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


@dataclass(slots=True)
class Node:
    """A value with its line; lists and mappings have children, shared where an alias repeats them."""

    line: int
    value: Json = None
    items: list["Node"] | None = None
    keys: dict[str, "Node"] | None = None
    key_lines: dict[str, int] = field(default_factory=dict)
    size: int = 1
    depth: int = 1
    is_closed: bool = True

    def plain(self) -> Json:
        """Return the value without lines."""
        if self.keys is not None:
            return {key: node.plain() for key, node in self.keys.items()}
        if self.items is not None:
            return [node.plain() for node in self.items]
        return self.value


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
        _refuse(name, 0, f"the file has more than {MAX_BYTES // 1_000_000} MB")
    text = text.removeprefix("\ufeff")
    return _parse_json(text, name) if name.endswith(".json") else _parse_yaml(text, name)


def decode(content: bytes, name: str) -> str:
    """Return the text of a file.

    Raises:
        SpecError: too large, or not UTF-8.
    """
    if len(content) > MAX_BYTES:
        _refuse(name, 0, f"the file has more than {MAX_BYTES // 1_000_000} MB")
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
        _refuse(name, line, f"not valid JSON: {error.msg}")
    except (RecursionError, ValueError) as error:
        _refuse(name, line, f"not valid JSON: {error}")


def _parse_yaml(text: str, name: str) -> Document:
    root = _Builder(name).build(text)
    return Document(name, root.plain(), lambda: root)


def _parse_json(text: str, name: str) -> Document:
    def read_root() -> Node:
        # A valid JSON text is YAML once its tabs are blanks: inside a string, JSON allows no raw tab.
        return _Builder(name).build(text.replace("\t", " "))

    try:
        return Document(name, _json(text), read_root)
    except json.JSONDecodeError as error:
        _refuse(name, error.lineno, f"not valid JSON: {error.msg}" if text.strip() else "the file is empty")
    except RecursionError:
        _refuse(name, 0, "nested too deeply")
    except ValueError as error:
        read_root()  # Duplicate keys with their lines, where the text can be read as YAML.
        _refuse(name, 0, f"not valid JSON: {error}")


def _json(text: str) -> Json:
    return json.loads(text, parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique)


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


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _no_constant(text)
    return number


def _refuse(name: str, line: int, message: str) -> NoReturn:
    raise_all([Problem(path=(), file=name, line=line, message=message)])
    raise AssertionError


class _Builder:
    """Builds nodes from parser events, so that nothing is expanded before its size is known."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._anchors: dict[str, Node] = {}
        self._n_aliased = 0
        self._problems: list[Problem] = []

    def build(self, text: str) -> Node:
        """Return the root of the one document in a text."""
        try:
            events = [event for event in yaml.parse(text, Loader=_LOADER) if not _is_frame(event)]
        except yaml.YAMLError as error:
            mark: Any = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "not valid YAML"
            _refuse(self._name, getattr(mark, "line", -1) + 1, f"not valid YAML: {reason}")
        except (ValueError, RecursionError) as error:
            _refuse(self._name, 0, f"not valid YAML: {error}")
        if not events:
            _refuse(self._name, 1, "the file is empty")
        stream = iter(events)
        root = self._node(next(stream), stream, 0)
        if any(True for _ in stream):
            _refuse(self._name, root.line, "more than one document; expected one")
        raise_all(self._problems)
        return root

    def _node(self, event: Any, stream: Iterator[Any], depth: int) -> Node:
        line = event.start_mark.line + 1
        if depth > MAX_DEPTH:
            _refuse(self._name, line, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(str(event.anchor), line, depth)
        node = Node(line=line, is_closed=False)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        if isinstance(event, yaml.ScalarEvent):
            node.value = self._scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            self._check_tag(event.tag, ("seq",), line)
            node.items = [self._node(part, stream, depth + 1) for part in _until(stream, yaml.SequenceEndEvent)]
            self._measure(node, node.items)
        else:
            self._check_tag(event.tag, ("map",), line)
            self._fill(node, stream, depth)
            self._measure(node, list((node.keys or {}).values()))
        node.is_closed = True
        return node

    def _aliased(self, anchor: str, line: int, depth: int) -> Node:
        node = self._anchors.get(anchor)
        if node is None:
            _refuse(self._name, line, f"alias *{anchor} has no anchor &{anchor} before it")
        if not node.is_closed:
            _refuse(self._name, line, f"alias *{anchor} contains itself")
        self._n_aliased += node.size
        if self._n_aliased > MAX_ALIASED_NODES or depth + node.depth > MAX_DEPTH:
            _refuse(self._name, line, f"aliases repeat more than {MAX_ALIASED_NODES} values; write them out")
        return node

    def _fill(self, node: Node, stream: Iterator[Any], depth: int) -> None:
        node.keys = {}
        merged: list[Node] = []
        for event in _until(stream, yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                _refuse(self._name, line, "a list or mapping as a key; expected a name")
            key = event.value
            value = self._node(next(stream), stream, depth + 1)
            if key == "<<" and event.implicit[0]:
                merged.extend(self._merged(value))
            elif key in node.keys:
                message = f"duplicate key {shown(key)}; first on line {node.key_lines[key]}"
                self._problems.append(Problem(path=(), file=self._name, line=line, message=message))
            else:
                node.keys[key], node.key_lines[key] = value, line
        for source in merged:
            for key, value in (source.keys or {}).items():
                if key not in node.keys:
                    node.keys[key], node.key_lines[key] = value, source.key_lines[key]

    def _merged(self, value: Node) -> list[Node]:
        sources = [value] if value.items is None else value.items
        if any(source.keys is None for source in sources):
            _refuse(self._name, value.line, "<< merges mappings only")
        return sources

    def _scalar(self, event: Any, line: int) -> Json:
        if event.tag is None and not event.implicit[0]:
            return event.value
        self._check_tag(event.tag, ("str", "int", "float", "bool", "null"), line)
        if event.tag in {f"{_TAG}str", "!"}:
            return event.value
        try:
            return scalar(event.value)
        except ValueError:
            message = f"{shown(event.value)} is not a finite number"
            self._problems.append(Problem(path=(), file=self._name, line=line, message=message))
            return 0

    def _check_tag(self, tag: str | None, allowed: tuple[str, ...], line: int) -> None:
        if tag is not None and tag != "!" and tag.removeprefix(_TAG) not in allowed:
            _refuse(self._name, line, f"tag {shown(tag)} is not allowed")

    def _measure(self, node: Node, children: list[Node]) -> None:
        node.size += sum(child.size for child in children)
        node.depth += max((child.depth for child in children), default=0)


def scalar(text: str) -> Json:
    """Return the value of an unquoted word.

    Raises:
        ValueError: a number that is infinite, not a number, or absurdly long.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        base = {"0x": 16, "0o": 8}.get(text[:2], 10)
        return int(text, base)
    if _FLOAT.fullmatch(text):
        return _finite(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").replace(".n", "n"))
    return text


def _until(stream: Iterator[Any], end: type) -> Iterator[Any]:
    for event in stream:
        if isinstance(event, end):
            return
        yield event


def _is_frame(event: Any) -> bool:
    frames = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)
    return isinstance(event, frames)
