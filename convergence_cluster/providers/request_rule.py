"""What goes to any HTTP API: templates of the study file, rendered for one call."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import urlencode

from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.providers.templates import Render, Scope, compile_json

_BODILESS = frozenset({"GET", "HEAD", "DELETE"})
_FORM = "application/x-www-form-urlencoded"
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


Merge: TypeAlias = Callable[[Mapping[str, Json]], tuple[Mapping[str, Json], Json]]
"""From the fields of a call to query and body."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestRule:
    """Templates of a request. Without any, the case's input and the configuration are merged, as query for a GET."""

    body: Json = None
    """A mapping or list is sent as JSON (as a form under that content type), a text as it is."""
    query: Mapping[str, Json] | None = None
    headers: Mapping[str, str] | None = None
    merge: Merge | None = None
    """Where a vendor wants things; then the body's fields (the case's input without a body), overruled by the
    configuration, go through it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One request, rendered."""

    url: str
    headers: dict[str, str]
    content: bytes | None


class MessageBuilder:
    """Turns what a template sees of a call into one request on the wire."""

    def __init__(
        self, url: str, method: str, rule: RequestRule, *, name: str = "request", merges: bool = False
    ) -> None:
        """`merges` sends the case's input and the configuration where the rule says nothing."""
        self._is_bodiless = method.upper() in _BODILESS
        self._is_merged = merges and rule.body is None and rule.query is None
        self._url = compile_json(url, "endpoint" if name == "request" else f"{name}.url")
        self._body = None if rule.body is None else compile_json(rule.body, f"{name}.body")
        self._query = None if rule.query is None else compile_json(rule.query, f"{name}.query")
        self._merge = rule.merge
        self._headers: Render = compile_json(rule.headers or {}, f"{name}.headers")

    def build(self, scope: Scope) -> Message:
        """Return the request of one call.

        Raises:
            PermanentError: a template fails.
        """
        query: Mapping[str, Json] | None = None if self._query is None else self._query(scope)
        body: Json = None if self._body is None else self._body(scope)
        if self._merge is not None:
            own = body if isinstance(body, Mapping) else scope["input"]
            more, body = self._merge({**own, **scope["params"]})
            query = {**more, **(query or {})}
        elif self._is_merged:
            merged = {**scope["input"], **scope["params"]}
            query, body = (merged, None) if self._is_bodiless else (None, merged)
        headers = {name: str(value) for name, value in self._headers(scope).items()}
        url = str(self._url(scope))
        if query:
            url += ("&" if "?" in url else "?") + urlencode(_pairs(query))
        return Message(url=url, headers=headers, content=None if body is None else _encode(body, headers))


@lru_cache(maxsize=1024)
def camel(name: str) -> str:
    """Return a name as JavaScript writes it: `max_age` is `maxAge`."""
    first, *others = name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in others) if first else name


def camel_aliases(configuration: Configuration) -> Mapping[str, str]:
    """Return the study's parameter for each name that an API writes its own way."""
    return {camel(name): name for name in configuration}


def to_bytes(value: Json) -> bytes:
    """Return compact JSON."""
    return _COMPACT.encode(value).encode()


def _encode(body: Json, headers: dict[str, str]) -> bytes:
    """Return the bytes of a body; JSON names its content type in the headers."""
    if isinstance(body, str):
        return body.encode()
    kind = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
    if kind is None:
        headers["Content-Type"] = "application/json"
    if kind is not None and kind.startswith(_FORM) and isinstance(body, Mapping):
        return urlencode(_pairs(body)).encode()
    return to_bytes(body)


def _pairs(query: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Return query pairs: lists repeat their key, mappings are JSON, nulls are left out."""
    return [
        (name, item if isinstance(item, str) else to_bytes(item).decode())
        for name, value in query.items()
        for item in (value if isinstance(value, list | tuple) else [value])
        if item is not None
    ]
