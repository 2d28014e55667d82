"""How long a provider asks us to wait, in every form that providers write it."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from convergence_cluster.domain.identity import Json

_UNIT_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_IN_MESSAGE = re.compile(r"(?:try again|retry) (?:in|after) ((?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+)", re.IGNORECASE)
_IETF_RESET = re.compile(r";\s*t=(\d+)")
_IETF_EMPTY = re.compile(r";\s*r=0\b")
_WINDOW_ENDS = re.compile(r"(?:rate|token)limit.*reset")
_EPOCH_S = 1e9
_EPOCH_MS = 1e11


def parse_wait_s(text: str, now_s: float) -> float | None:
    """Return seconds from now, or None where the text says nothing usable (a negative number means unknown).

    Reads plain seconds, epoch seconds and milliseconds, durations (`1s`, `6m0s`, `20ms`), RFC 3339 and HTTP dates.
    """
    text = text.strip()
    wait_s = _number_s(text, now_s)
    if wait_s is None:
        wait_s = _duration_s(text)
    if wait_s is None:
        moment_s = _date_s(text)
        wait_s = None if moment_s is None else max(0.0, moment_s - now_s)
    return wait_s if wait_s is not None and wait_s >= 0.0 else None


def retry_after_s(headers: Mapping[str, str], body: Json, message: str, now_s: float) -> float | None:
    """Return the provider's own wish, the most exact form first; None: it has none.

    Source: openai-python and anthropic-sdk-python (`retry-after-ms` before `retry-after`), google.rpc.RetryInfo,
    2026.
    """
    if (milliseconds := headers.get("retry-after-ms")) is not None:
        wait_s = _number_s(milliseconds, now_s)
        if wait_s is not None and wait_s >= 0.0:
            return wait_s / 1000.0
    for text in _wishes(headers, body, message):
        wait_s = parse_wait_s(text, now_s)
        if wait_s is not None:
            return wait_s
    return _reset_s(headers, now_s)


def _wishes(headers: Mapping[str, str], body: Json, message: str) -> Iterator[str]:
    if "retry-after" in headers:
        yield headers["retry-after"]
    for detail in error_details(body):
        delay = detail.get("retryDelay")
        if isinstance(delay, str):
            yield delay
    if (found := _IN_MESSAGE.search(message)) is not None:
        yield found[1]


def error_details(body: Json) -> tuple[Mapping[str, Json], ...]:
    """Return the entries of a Google error's `details`, which may be wrapped in a list of one."""
    outer = body[0] if isinstance(body, list) and body else body
    error = outer.get("error") if isinstance(outer, Mapping) else None
    details = error.get("details") if isinstance(error, Mapping) else None
    return tuple(item for item in details if isinstance(item, Mapping)) if isinstance(details, list) else ()


def _reset_s(headers: Mapping[str, str], now_s: float) -> float | None:
    """Return when the latest of the exhausted windows opens again."""
    waits_s = [
        wait_s
        for name, value in headers.items()
        if _WINDOW_ENDS.search(name) and headers.get(name.replace("reset", "remaining"), "0") == "0"
        if (wait_s := parse_wait_s(value, now_s)) is not None
    ]
    ietf = headers.get("ratelimit", "")
    if _IETF_EMPTY.search(ietf) and (found := _IETF_RESET.search(ietf)) is not None:
        waits_s.append(float(found[1]))
    return max(waits_s, default=None)


def _number_s(text: str, now_s: float) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    if number >= _EPOCH_MS:
        return max(0.0, number / 1000.0 - now_s)
    return max(0.0, number - now_s) if number >= _EPOCH_S else number


def _duration_s(text: str) -> float | None:
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _UNIT_S[unit] for number, unit in parts)


def _date_s(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(text).timestamp()
    except ValueError:
        return None
