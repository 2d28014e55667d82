"""What a provider's refusal means: wait, leave this configuration out, stop, or count the call as failed."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from convergence_cluster.domain.errors import (
    ConvergenceError,
    InfeasibleError,
    PermanentError,
    ProviderStopError,
    TransientError,
)
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.providers.waits import error_details, retry_after_s

EXCERPT_CHARS = 300
PARKED_AFTER_S = 120.0
"""A provider that asks for a longer wait will not be waited for."""
_STOPPING = frozenset({401, 402, 403})
_PASSING = frozenset({408, 409, 425, 429})
_GATEWAY_TIMEOUTS = frozenset({504, 524})
"""A proxy gave up waiting for an answer that may well have been written, and billed."""
_MAY_NAME_VALUE = frozenset({403, 404})
_MIN_NAME_CHARS = 4
_MAY_NAME_PARAMETER = frozenset({400, 404, 413, 422})
_NO_MONEY = re.compile(
    r"insufficient_quota|billing_error|billing_hard_limit|spend(?:ing)? limit|credit balance"
    r"|insufficient (?:credits|funds|balance)",
    re.IGNORECASE,
)
_PER_DAY = re.compile(r"per[ _-]?day|daily|\bRPD\b|\bTPD\b", re.IGNORECASE)
_EVERYDAY_WORDS = frozenset({"model", "prompt", "system", "input", "text", "question", "messages", "tools", "stop"})
"""Words that a message uses without speaking of the parameter; they count only in quotes."""
_MESSAGE_KEYS = ("message", "error", "detail", "title", "code", "type")


def fault(
    *,
    status: int,
    headers: Mapping[str, str],
    body: Json,
    text: str,
    where: str,
    configuration: Configuration,
    now_s: float,
) -> ConvergenceError:
    """Return what to raise for an answer with an error status; `body` is None where `text` is not JSON.

    `headers` are in lower case, `where` is method, host and path. Nothing here may hold a secret any more.
    """
    message = message_of(body) or " ".join(text.split())
    if 300 <= status < 400 and (location := headers.get("location")):  # noqa: PLR2004 - the class of redirects
        message = f"redirects to {location.split('?')[0]}; put that address into `endpoint`"
    said = f"{where}: HTTP {status}: {message[:EXCERPT_CHARS]}"
    guilty = _guilty_parameter(status, body, message, configuration)
    is_broke = _NO_MONEY.search(f"{code_of(body)} {message}") is not None
    should_retry = headers.get("x-should-retry")
    is_passing = status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if (status in _STOPPING and guilty is None) or (is_broke and status == HTTPStatus.TOO_MANY_REQUESTS):
        return ProviderStopError(said)
    if should_retry == "true" or (is_passing and should_retry != "false"):
        return _passing(status, said, retry_after_s(headers, body, message, now_s), _is_daily(body, message))
    if guilty is not None:
        return InfeasibleError(f"{said} (parameter {guilty!r} = {configuration[guilty]!r:.80})")
    return ProviderStopError(said) if is_broke else PermanentError(said)


def _passing(status: int, said: str, wait_s: float | None, is_daily: bool) -> TransientError:  # noqa: FBT001
    if (wait_s is not None and wait_s > PARKED_AFTER_S) or (wait_s is None and is_daily):
        return TransientError(said, retry_after_s=wait_s, kind="parked")
    return TransientError(said, retry_after_s=wait_s, kind="unknown" if status in _GATEWAY_TIMEOUTS else "error")


def _is_daily(body: Json, message: str) -> bool:
    violations = (str(detail.get("violations")) for detail in error_details(body))
    return any(_PER_DAY.search(text) for text in (message, *violations))


def message_of(body: Json) -> str:
    """Return the sentence in an error body, whatever the envelope; empty if there is none."""
    if isinstance(body, str):
        return body.strip()
    if isinstance(body, list):
        return "; ".join(filter(None, (message_of(item) for item in body[:3])))
    if not isinstance(body, Mapping):
        return ""
    if "msg" in body and "loc" in body:
        return f"{_dotted(body['loc'])}: {body['msg']}"
    found = (message_of(body[key]) for key in ("error", *_MESSAGE_KEYS) if body.get(key))
    return next((text for text in found if text), "")


def code_of(body: Json) -> str:
    """Return the error's machine-readable code and type, in one text; empty if there is none."""
    outer = body[0] if isinstance(body, list) and body else body
    error = outer.get("error") if isinstance(outer, Mapping) else None
    holder = error if isinstance(error, Mapping) else outer
    if not isinstance(holder, Mapping):
        return ""
    return " ".join(str(holder[key]) for key in ("code", "type", "status") if holder.get(key))


def named_parameter(body: Json, message: str, configuration: Configuration) -> str | None:
    """Return the searched parameter that an error is about, or None.

    A `param` in the body decides alone, so that an over-long message is not blamed on the model that its text mentions.
    """
    blamed = tuple(_blamed(body))
    if blamed:
        names = {part for path in blamed for part in re.split(r"[.\[\]]+", path)}
        return next((name for name in configuration if name in names), None)
    return next((name for name in configuration if _mentions(message, name)), None)


def _guilty_parameter(status: int, body: Json, message: str, configuration: Configuration) -> str | None:
    name = _named_value(body, message, configuration) if status in _MAY_NAME_VALUE else None
    if name is None and status in _MAY_NAME_PARAMETER:
        name = named_parameter(body, message, configuration)
    return name


def _named_value(body: Json, message: str, configuration: Configuration) -> str | None:
    """Return the parameter whose value does not exist or is not allowed: a model, a deployment, an actor."""
    if "model_not_found" in code_of(body) and "model" in configuration:
        return "model"
    named = (name for name, value in configuration.items() if isinstance(value, str) and _is_in(value, message))
    return next(named, None)


def _is_in(value: str, message: str) -> bool:
    is_name = len(value) >= _MIN_NAME_CHARS and not any(character.isspace() for character in value)
    return is_name and re.search(rf"(?<![\w-]){re.escape(value)}(?![\w-])", message) is not None


def _blamed(body: Json) -> Iterator[str]:
    if not isinstance(body, Mapping):
        return
    error = body.get("error")
    holder = error if isinstance(error, Mapping) else body
    if isinstance(param := holder.get("param"), str) and param:
        yield param
    detail = body.get("detail")
    for item in detail if isinstance(detail, list) else ():
        if isinstance(item, Mapping) and "loc" in item:
            yield _dotted(item["loc"])


def _dotted(path: Json) -> str:
    return ".".join(str(part) for part in path) if isinstance(path, list) else str(path)


def _mentions(message: str, name: str) -> bool:
    word = re.escape(name)
    if re.search(rf"[`'\"]{word}[`'\"]", message):
        return True
    return name not in _EVERYDAY_WORDS and re.search(rf"(?<![\w-]){word}(?![\w-])", message) is not None
