"""JSON and XML in an answer, alone or among other words."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from xml.etree import ElementTree as ET

from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.domain.identity import Json

_DECODER = json.JSONDecoder()
_ELEMENT = re.compile(r"<([A-Za-z_][\w.-]*)[^<>]*(?:/>|>.*</\1\s*>)", re.DOTALL)


def is_json(answer: str, is_valid: Callable[[Json], bool]) -> bool:
    """Say whether the whole answer is JSON that is valid."""
    try:
        return is_valid(json.loads(answer))
    except (ValueError, RecursionError):
        return False


def contains_json(answer: str, is_valid: Callable[[Json], bool]) -> bool:
    """Say whether some object or list in the answer is valid."""
    return any(is_valid(value) for value in json_values(answer))


def is_xml(answer: str, required: Json) -> bool:
    """Say whether the whole answer is XML with all required elements, written `root.child` and so on."""
    text = answer.strip()
    if "<!ENTITY" in text:  # entities can grow without end; no answer needs them
        return False
    try:
        root = ET.fromstring(text)  # noqa: S314 - without entities there is nothing to expand
    except ET.ParseError:
        return False
    return all(_has(root, path) for path in _paths(required))


def contains_xml(answer: str, required: Json) -> bool:
    """Say whether some element in the answer is XML with all required elements."""
    return any(is_xml(found[0], required) for found in _ELEMENT.finditer(answer))


def json_values(answer: str) -> Iterator[Json]:
    """Yield every JSON object and list in a text that is not inside another."""
    position = 0
    while (found := re.compile(r"[{\[]").search(answer, position)) is not None:
        try:
            value, position = _DECODER.raw_decode(answer, found.start())
        except (ValueError, RecursionError):
            position = found.start() + 1
        else:
            yield value


def _paths(required: Json) -> Sequence[str]:
    if isinstance(required, dict):
        required = required.get("requiredElements")
    if isinstance(required, str):
        required = [part.strip() for part in required.split(",") if part.strip()]
    if required is None:
        return ()
    if not isinstance(required, list) or not all(isinstance(path, str) for path in required):
        raise PermanentError(f"{required!r:.80}: expected the required elements, such as root.child or a list of these")
    return required


def _has(root: ET.Element, path: str) -> bool:
    name, *rest = path.split(".")
    return root.tag == name and (not rest or root.find("/".join(rest)) is not None)
