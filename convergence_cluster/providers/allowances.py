"""What a provider's headers say it still allows, so that calls slow down before they are refused.

Two kinds: where the time to the reset is a duration or a date, it is the time until everything is allowed again, as a
bucket that fills evenly (OpenAI, Azure, Groq, Together, Anthropic); else it is when a window ends (IETF's draft).
"""

import re
from collections.abc import Iterator, Mapping

from convergence_cluster.domain.calls import Allowance
from convergence_cluster.providers.waits import parse_wait_s

LONGEST_HOLD_S = 120.0
"""A window that opens later is left to the refusal that will name it."""
_SCARCE = 0.2
"""Below this share of the limit it matters how fast calls go."""
_SHORTEST_RESET_S = 0.5
"""A rate computed from a shorter time would be mostly rounding."""
_REMAINING = re.compile(r"(?:rate|token)limit.*remaining")
_IETF = re.compile(r";\s*r=(\d+)\s*;\s*t=(\d+)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MINUTE_S = 60.0


def allowance_of(headers: Mapping[str, str], now_s: float) -> Allowance | None:
    """Return what matters for the next calls, None where nothing does."""
    hold_s, rpm, tpm = 0.0, None, None
    for name, left in _windows(headers):
        is_tokens = "token" in name
        limit = _count(headers.get(name.replace("remaining", "limit"), ""))
        reset = headers.get(name.replace("remaining", "reset"), "")
        reset_s = parse_wait_s(reset, now_s)
        if reset_s is None or (limit is not None and left > _SCARCE * limit):
            continue
        if limit is None or limit <= left or _NUMBER.fullmatch(reset.strip()):
            hold_s = max(hold_s, reset_s if left < 1.0 else 0.0)
            continue
        hold_s = max(hold_s, reset_s * max(0.0, 1.0 - left) / (limit - left))
        if reset_s >= _SHORTEST_RESET_S:
            per_minute = _MINUTE_S * (limit - left) / reset_s
            tpm = _least(tpm, per_minute) if is_tokens else tpm
            rpm = rpm if is_tokens else _least(rpm, per_minute)
    hold_s = max(
        [hold_s, *(float(reset_s) for left, reset_s in _IETF.findall(headers.get("ratelimit", "")) if left == "0")]
    )
    hold_s = hold_s if hold_s <= LONGEST_HOLD_S else 0.0
    return Allowance(hold_s=hold_s, rpm=rpm, tpm=tpm) if hold_s or rpm or tpm else None


def _windows(headers: Mapping[str, str]) -> Iterator[tuple[str, float]]:
    """Yield the name and the number of what remains; a negative number means that the provider does not say."""
    for name, value in headers.items():
        left = _count(value) if _REMAINING.search(name) else None
        if left is not None:
            yield name, left


def _count(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text.strip()) else None


def _least(known: float | None, found: float) -> float:
    return found if known is None else min(known, found)
