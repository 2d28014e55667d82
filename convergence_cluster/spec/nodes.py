"""YAML text as nodes that remember their lines, built from parser events, so that nothing grows before it is measured.

Scalars follow the core schema of YAML 1.2, with two habits of YAML 1.1 kept: `1_000` is a number and `<<` merges.
So `no`, `on` and `2024-01-01` are text (a key that expects a flag still takes `yes` and `no`), and `1e-5` is a number.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import yaml

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.problems import Problem, raise_all, shown

MAX_NODES: Final = 1_000_000
"""Most values in a file."""

MAX_ALIASED_NODES: Final = 100_000
"""Values that aliases may add to those written out."""

MAX_DEPTH: Final = 64
"""Deepest nesting of lists and mappings."""

MAX_MAGNITUDE: Final = 10**300
"""Whole numbers beyond it are not taken: they have no counterpart as a real number."""

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG: Final = "tag:yaml.org,2002:"
_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+(_[0-9]+)*|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_FRAMES: Final = (yaml.StreamStartEvent, yaml.StreamEndEvent, yaml.DocumentStartEvent, yaml.DocumentEndEvent)


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


class NodeBuilder:
    """Builds nodes from parser events, so that nothing is expanded before its size is known."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._anchors: dict[str, Node] = {}
        self._n_aliased = 0
        self._problems: list[Problem] = []

    def build(self, text: str) -> Node:
        """Return the root of the one document in a text.

        Raises:
            SpecError: not well-formed, duplicate keys, foreign tags, too deep, too many values or repeated ones.
        """
        stream = self._events(text)
        first = next(stream, None)
        if first is None:
            refuse(self._name, 1, "the file is empty")
        root = self._node(first, stream, 0)
        if next(stream, None) is not None:
            refuse(self._name, root.line, "more than one document; expected one")
        raise_all(self._problems)
        return root

    def _events(self, text: str) -> Iterator[Any]:
        n_events = 0
        try:
            event: Any
            for event in yaml.parse(text, Loader=_LOADER):
                n_events += 1
                if n_events > MAX_NODES:
                    refuse(self._name, event.start_mark.line + 1, f"more than {MAX_NODES} values")
                if not isinstance(event, _FRAMES):
                    yield event
        except yaml.YAMLError as error:
            mark: Any = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "not readable"
            refuse(self._name, getattr(mark, "line", -1) + 1, f"not valid YAML: {reason}")
        except ValueError as error:
            refuse(self._name, 0, f"not valid YAML: {error}")

    def _node(self, event: Any, stream: Iterator[Any], depth: int) -> Node:
        line = event.start_mark.line + 1
        if depth > MAX_DEPTH:
            refuse(self._name, line, f"nested deeper than {MAX_DEPTH} levels")
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
            _measure(node, node.items)
        else:
            self._check_tag(event.tag, ("map",), line)
            self._fill(node, stream, depth)
            _measure(node, list((node.keys or {}).values()))
        node.is_closed = True
        return node

    def _aliased(self, anchor: str, line: int, depth: int) -> Node:
        node = self._anchors.get(anchor)
        if node is None:
            refuse(self._name, line, f"alias *{anchor} has no anchor &{anchor} before it")
        if not node.is_closed:
            refuse(self._name, line, f"alias *{anchor} contains itself")
        self._n_aliased += node.size
        if self._n_aliased > MAX_ALIASED_NODES:
            refuse(self._name, line, f"aliases repeat more than {MAX_ALIASED_NODES} values; write them out")
        if depth + node.depth > MAX_DEPTH:
            refuse(self._name, line, f"nested deeper than {MAX_DEPTH} levels")
        return node

    def _fill(self, node: Node, stream: Iterator[Any], depth: int) -> None:
        node.keys = {}
        merged: list[Node] = []
        for event in _until(stream, yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                refuse(self._name, line, "a list or mapping as a key; expected a name")
            key = self._unicode(event.value, line)
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
            refuse(self._name, value.line, "<< merges mappings only")
        return sources

    def _scalar(self, event: Any, line: int) -> Json:
        text = self._unicode(event.value, line)
        if event.tag is None and not event.implicit[0]:
            return text
        self._check_tag(event.tag, ("str", "int", "float", "bool", "null"), line)
        if event.tag in {f"{_TAG}str", "!"}:
            return text
        try:
            return scalar(text)
        except ValueError:
            message = f"{shown(text)} is not a finite number"
            self._problems.append(Problem(path=(), file=self._name, line=line, message=message))
            return 0

    def _unicode(self, text: str, line: int) -> str:
        if not is_unicode(text):
            refuse(self._name, line, "text with half a character (a lone surrogate)")
        return text

    def _check_tag(self, tag: str | None, allowed: tuple[str, ...], line: int) -> None:
        if tag is not None and tag != "!" and tag.removeprefix(_TAG) not in allowed:
            refuse(self._name, line, f"tag {shown(tag)} is not allowed")


def scalar(text: str) -> Json:
    """Return the value of an unquoted word.

    Raises:
        ValueError: a number that is infinite, not a number, or absurdly long.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        base = {"0x": 16, "0o": 8}.get(text[:2], 10)
        return whole(text, base)
    if _FLOAT.fullmatch(text):
        return finite(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").replace(".n", "n"))
    return text


def whole(text: str, base: int = 10) -> int:
    """Return a whole number.

    Raises:
        ValueError: absurdly long.
    """
    number = int(text, base)
    if abs(number) > MAX_MAGNITUDE:
        message = f"{text[:20]}... is too large a number"
        raise ValueError(message)
    return number


def finite(text: str) -> float:
    """Return a real number.

    Raises:
        ValueError: infinite or not a number.
    """
    number = float(text)
    if not math.isfinite(number):
        message = f"{text} is not a finite number"
        raise ValueError(message)
    return number


def is_unicode(text: str) -> bool:
    """Say whether a text can be written as UTF-8."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse(name: str, line: int, message: str) -> NoReturn:
    """Raise one problem of a file.

    Raises:
        SpecError: always.
    """
    raise_all([Problem(path=(), file=name, line=line, message=message)])
    raise AssertionError


def _until(stream: Iterator[Any], end: type) -> Iterator[Any]:
    for event in stream:
        if isinstance(event, end):
            return
        yield event


def _measure(node: Node, children: list[Node]) -> None:
    node.size += sum(child.size for child in children)
    node.depth += max((child.depth for child in children), default=0)
