"""Where in an answer its result, its token counts and its errors probably are, by the schema of the answer."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from convergence_cluster.domain.identity import Json
from convergence_cluster.drafting.openapi import OpenApi
from convergence_cluster.drafting.shapes import choice_of, merged, type_of

_RESULTS = (
    *("output_text", "result", "results", "output", "outputs", "answer", "answers", "choices", "candidates"),
    *("generations", "message", "messages", "content", "contents", "text", "parts", "completion", "translation"),
    *("translations", "summary", "transcript", "response", "data", "items", "hits", "matches", "documents", "rows"),
    *("embeddings", "embedding", "relevance_score", "score", "label", "value", "body", "markdown", "html", "url", "id"),
)
_ERRORS = ("error", "errors", "error_message")
_IN = re.compile(r"(?:input|prompt)_tokens")
_OUT = re.compile(r"(?:output|completion)_tokens")
_TEXTS = {"text", "content"}
_MAX_DEPTH = 7
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
Step = str | int
Path = tuple[Step, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class AnswerPaths:
    """JMESPath expressions, or None."""

    result: str | None = None
    steps: tuple[str, ...] = ()
    """The keys on the way to the result; lists in between are not named."""
    usage: str | None = None
    error: str | None = None


def answer_paths(api: OpenApi, schema: Mapping[str, Json] | None) -> AnswerPaths:
    """Return what is known of an answer's places."""
    if schema is None:
        return AnswerPaths()
    result = _result(api, schema, 0)
    usage = next(_usage(api, schema, (), 0), None)
    properties = merged(api, schema).get("properties") or {}
    return AnswerPaths(
        result=_expression(result) if result else None,
        steps=tuple(step for step in result or () if isinstance(step, str)),
        usage=_expression(usage) if usage and usage != ("usage",) else None,
        error=next((name for name in _ERRORS if name in properties), None),
    )


def _result(api: OpenApi, schema: Json, depth: int) -> Path | None:
    """Return the way to the likeliest leaf, or None where no name is likely."""
    shape = _told(api, schema)
    match type_of(shape):
        case "array" if depth < _MAX_DEPTH:
            rest = _result(api, shape.get("items"), depth + 1)
            return None if rest is None else (0, *rest)
        case "object" if depth < _MAX_DEPTH:
            properties = shape.get("properties") or {}
            for name in _RESULTS:
                if name in properties and (rest := _result(api, properties[name], depth + 1)) is not None:
                    return (name, *rest)
            return None
        case "array" | "object":
            return None
        case _:
            return ()


def _told(api: OpenApi, schema: Json) -> Mapping[str, Json]:
    """Return a schema, of several kinds of objects the one with text in it."""
    shape = merged(api, schema)
    choice = choice_of(api, shape)
    branches = list(choice.branches.values()) if choice else list(shape.get("oneOf") or shape.get("anyOf") or ())
    if not branches:
        return shape
    return next((branch for branch in branches if _TEXTS & set(branch.get("properties") or ())), branches[0])


def _usage(api: OpenApi, schema: Json, path: Path, depth: int) -> Iterator[Path]:
    shape = merged(api, schema)
    properties = shape.get("properties") or {}
    if any(_IN.fullmatch(name) for name in properties) and any(_OUT.fullmatch(name) for name in properties):
        yield path
    for name in properties if depth < 3 else ():  # noqa: PLR2004 - deeper ones are of something else
        if "usage" in name or "token" in name or "meta" in name or "billed" in name:
            yield from _usage(api, properties[name], (*path, name), depth + 1)


def _expression(path: Path) -> str:
    """Return a JMESPath expression."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            name = step if _PLAIN.fullmatch(step) else f'"{step}"'
            text += f".{name}" if text else name
    return text
