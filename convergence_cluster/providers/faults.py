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
DAY_CHECKED_AFTER_S = 3600.0
"""When a spent quota of the day is worth another look, where the provider names no time; some windows slide."""
_TWO_HOURS_S = 7200.0
_STOPPING = frozenset({401, 402, 403})
_PASSING = frozenset({408, 409, 425, 429})
_GATEWAY_TIMEOUTS = frozenset({504, 524})
"""A proxy gave up waiting for an answer that may well have been written, and billed."""
_MAY_NAME_VALUE = frozenset({403, 404})
_MIN_NAME_CHARS = 4
_MIN_QUOTED_CHARS = 3
_MAY_NAME_PARAMETER = frozenset({400, 404, 413, 422})
_NO_MONEY = re.compile(
    r"insufficient_quota|billing_error|billing_hard_limit|spend(?:ing)? limit|credit balance"
    r"|insufficient (?:credits|funds|balance)",
    re.IGNORECASE,
)
_NOT_SERVED = re.compile(
    r"API key (?:not valid|not found|expired)|user location is not supported|not available in your country",
    re.IGNORECASE,
)
"""Google answers 400 to a wrong key and to a caller from a country that it does not serve."""
_NO_DEPLOYMENT = re.compile(r"model_not_found|DeploymentNotFound")
_NO_MODEL = re.compile(
    r"(?:invalid|unknown) model|not a valid model|model\b.{0,80}(?:not found|not available|does not exist)",
    re.IGNORECASE,
)
_STATUS_OF: Mapping[str, int] = {
    "invalid_request_error": 400,
    "invalid_prompt": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "api_error": 500,
    "server_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""Types of errors that arrive where no status can tell, in a stream or under status 200."""
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
    aliases: Mapping[str, str] | None = None,
) -> ConvergenceError:
    """Return what to raise for an answer with an error status; `body` is None where `text` is not JSON.

    `headers` are in lower case, `where` is method, host and path, `aliases` further names of the configuration's
    parameters. Nothing here may hold a secret any more.
    """
    message = message_of(body) or " ".join(text.split())
    if 300 <= status < 400 and (location := headers.get("location")):  # noqa: PLR2004 - the class of redirects
        message = f"redirects to {location.split('?')[0]}; put that address into `endpoint`"
    said = f"{where}: HTTP {status}: {message[:EXCERPT_CHARS]}"
    guilty = _guilty_parameter(status, body, message, configuration, aliases or {})
    is_broke = _NO_MONEY.search(f"{code_of(body)} {message}") is not None
    is_stranger = status == HTTPStatus.BAD_REQUEST and _NOT_SERVED.search(message) is not None
    should_retry = headers.get("x-should-retry")
    is_passing = status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if (status in _STOPPING and guilty is None) or is_stranger or (is_broke and status == HTTPStatus.TOO_MANY_REQUESTS):
        return ProviderStopError(said)
    if should_retry == "true" or (is_passing and should_retry != "false"):
        return _passing(status, said, _wait_s(headers, body, message, now_s))
    if guilty is not None:
        return InfeasibleError(f"{said} (parameter {guilty!r} = {configuration[guilty]!r:.80})")
    return ProviderStopError(said) if is_broke else PermanentError(said)


def status_in(body: Json) -> int | None:
    """Return the HTTP status that an error within a body amounts to, or None where it is anybody's guess."""
    words = code_of(body).split()
    numbers = (int(word) for word in words if re.fullmatch(r"[0-9]{3}", word))
    status = next((number for number in numbers if 400 <= number < 600), None)  # noqa: PLR2004 - errors
    return status or next((_STATUS_OF[word] for word in words if word in _STATUS_OF), None)


def _passing(status: int, said: str, wait_s: float | None) -> TransientError:
    if wait_s is not None and wait_s > PARKED_AFTER_S:
        long = f"{wait_s / 60:.0f} min" if wait_s < _TWO_HOURS_S else f"{wait_s / 3600:.0f} h"
        return TransientError(f"{said}; try again in {long}", retry_after_s=wait_s, kind="parked")
    kind = "unknown" if status in _GATEWAY_TIMEOUTS else "error"
    is_outage = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return TransientError(said, retry_after_s=wait_s, kind=kind, is_outage=is_outage)


def _wait_s(headers: Mapping[str, str], body: Json, message: str, now_s: float) -> float | None:
    """Google wishes for seconds even where the quota of the day is spent; its `QuotaFailure` tells the truth."""
    wish_s = retry_after_s(headers, body, message, now_s)
    if any(_PER_DAY.search(str(detail.get("violations"))) for detail in error_details(body)):
        return max(wish_s or 0.0, DAY_CHECKED_AFTER_S)
    return DAY_CHECKED_AFTER_S if wish_s is None and _PER_DAY.search(message) else wish_s


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


def named_parameter(
    body: Json, message: str, configuration: Configuration, aliases: Mapping[str, str] | None = None
) -> str | None:
    """Return the searched parameter that an error is about, or None.

    A `param` in the body decides alone, so that an over-long message is not blamed on the model that its text mentions.
    """
    spellings = {name: name for name in configuration} | (dict(aliases) if aliases else {})
    blamed = tuple(_blamed(body))
    if blamed:
        parts = {part for path in blamed for part in re.split(r"[.\[\]]+", path)}
        return next((spellings[name] for name in spellings if name in parts), None)
    mentioned = next((spellings[name] for name in spellings if _mentions(message, name)), None)
    quoted = (name for name, value in configuration.items() if _is_quoted(name, value, message))
    return mentioned or next(quoted, None) or _refused_model(message, configuration)


def _refused_model(message: str, configuration: Configuration) -> str | None:
    """Mistral and OpenRouter answer 400 for a model that they do not have."""
    model = configuration.get("model")
    is_refused = isinstance(model, str) and _is_in(model, message) and _NO_MODEL.search(message) is not None
    return "model" if is_refused else None


def _is_quoted(name: str, value: Json, message: str) -> bool:
    """Say whether a message quotes a value, as in: does not support effort level 'xhigh'."""
    if not isinstance(value, str) or len(value) < _MIN_QUOTED_CHARS or name == "model":
        return False
    return re.search(rf"[`'\"]{re.escape(value)}[`'\"]", message) is not None


def _guilty_parameter(
    status: int, body: Json, message: str, configuration: Configuration, aliases: Mapping[str, str]
) -> str | None:
    name = _named_value(body, message, configuration) if status in _MAY_NAME_VALUE else None
    if name is None and status in _MAY_NAME_PARAMETER:
        name = named_parameter(body, message, configuration, aliases)
    return name


def _named_value(body: Json, message: str, configuration: Configuration) -> str | None:
    """Return the parameter whose value does not exist or is not allowed: a model, a deployment, an actor."""
    if _NO_DEPLOYMENT.search(code_of(body)) and "model" in configuration:
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
    for entry in error_details(body):
        violations = entry.get("fieldViolations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, Mapping) and isinstance(field := violation.get("field"), str) and field:
                yield field


def _dotted(path: Json) -> str:
    return ".".join(str(part) for part in path) if isinstance(path, list) else str(path)


def _mentions(message: str, name: str) -> bool:
    word = re.escape(name)
    if re.search(rf"[`'\"]{word}[`'\"]", message):
        return True
    return name not in _EVERYDAY_WORDS and re.search(rf"(?<![\w-]){word}(?![\w-])", message) is not None
