"""Figures and foreign text as short, safe words for people."""

import json
import math
import re
from datetime import UTC, datetime

from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.domain.search import Interval, StopReason

UNKNOWN = "unknown"

_SMALLEST, _LARGEST = 1e-4, 1e9
"""Between these, a number reads better without an exponent."""

_UNSAFE_FOR_TERMINALS = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")
_MARKDOWN = re.compile(r"([\\`*_\[\]<>|#~!$&])")

STOP_REASONS = {
    StopReason.CERTAIN: "sure enough of the answer",
    StopReason.PATIENCE: "no improvement for as long as the study's patience",
    StopReason.EXHAUSTED: "every configuration that can run was tried on every case, or beaten",
    StopReason.BUDGET_USD: "the money cap was reached",
    StopReason.BUDGET_CALLS: "the call cap was reached",
    StopReason.BUDGET_TIME: "the time cap was reached",
    StopReason.CANCELLED: "cancelled",
    StopReason.PROVIDER: "the provider refuses further calls",
    StopReason.NO_FEASIBLE: "no configuration could be run",
}


def finite(value: float | None) -> float | None:
    """Return the value, or None where it is missing, infinite or not a number."""
    return value if value is not None and math.isfinite(value) else None


def number(value: float | None, *, digits: int = 3, is_trimmed: bool = True) -> str:
    """Return a plain number with that many significant digits, without an exponent where it is readable."""
    value = finite(value)
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    if not _SMALLEST <= abs(value) < _LARGEST:
        return f"{value:.{digits - 1}e}"
    decimals = _decimals(value, digits)
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text and (is_trimmed or value == round(value)) else text


def usd(value: float | None, *, digits: int = 3) -> str:
    """Return money; an unknown price is never $0."""
    value = finite(value)
    if value is None:
        return UNKNOWN
    sign = "-" if value < 0 else ""
    value = abs(value)
    rounded = float(f"{value:.{digits - 1}e}")  # the form depends on what is shown: $0.00999999 reads like $0.01
    if rounded and rounded < 1e-6:  # noqa: PLR2004 - below a millionth of a dollar digits no longer read well
        return f"{sign}${value:.1e}"
    if rounded >= 1 or rounded == 0:
        return f"{sign}${value:,.2f}"
    decimals = max(2, _decimals(value, digits))
    if rounded < 0.01:  # noqa: PLR2004 - prices of calls stand in columns and keep their digits
        return f"{sign}${value:.{decimals}f}"
    whole, fraction = f"{value:.{decimals}f}".split(".")
    return f"{sign}${whole}.{fraction.rstrip('0'):0<2}"


def _decimals(value: float, digits: int) -> int:
    """Return how many decimals show that many significant digits, once rounded: 0.00099999 is 0.00100."""
    return max(0, digits - 1 - int(f"{value:.{digits - 1}e}".partition("e")[2]))


def quantity(value: float | None, unit: str, *, digits: int = 3) -> str:
    """Return a value of a metric with its unit."""
    if unit == "usd":
        return usd(value, digits=digits)
    text = number(value, digits=digits, is_trimmed=False)
    return text if not unit or text == UNKNOWN else f"{text} {unit}"


def score(value: float | None) -> str:
    """Return a score in [0, 1] with three decimals."""
    value = finite(value)
    return UNKNOWN if value is None else f"{value:.3f}"


def signed(value: float, unit: str = "", *, decimals: int | None = None) -> str:
    """Return a difference with its sign."""
    text = quantity(abs(value), unit) if decimals is None else f"{abs(value):.{decimals}f}"
    return f"{'-' if value < 0 else '+'}{text}"


def percent(value: float) -> str:
    """Return a probability or a share as whole percents, never rounded to certainty."""
    if not math.isfinite(value):
        return UNKNOWN
    if 0 < value < 0.01:  # noqa: PLR2004
        return "under 1 %"
    if 0.99 < value < 1:  # noqa: PLR2004
        return "over 99 %"
    return f"{100 * value:.0f} %"


def chance(value: float) -> str:
    """Return a probability that was drawn from beliefs: all draws agreeing is no certainty."""
    return percent(min(value, 0.999))


def score_interval(interval: Interval | None) -> str:
    """Return `0.912 (0.897 to 0.926)`; one figure where the ends are unknown."""
    if interval is None:
        return UNKNOWN
    if finite(interval.low) is None or finite(interval.high) is None:
        return score(interval.mean)
    return f"{score(interval.mean)} ({score(interval.low)} to {score(interval.high)})"


def quantity_interval(interval: Interval | None, unit: str) -> str:
    """Return a metric's mean with its interval; one figure where the interval is unknown or reads like the mean."""
    if interval is None or finite(interval.mean) is None:
        return UNKNOWN
    mean = quantity(interval.mean, unit)
    if finite(interval.low) is None or finite(interval.high) is None:
        return mean
    bare = "usd" if unit == "usd" else ""
    low, middle, high = (quantity(value, bare) for value in (interval.low, interval.mean, interval.high))
    return mean if low == middle == high else f"{mean} ({low} to {high})"


def excludes_zero(change: Interval) -> bool:
    """Say whether the interval tells the change from none; one that is unknown does not."""
    return (change.low > 0) or (change.high < 0)


def duration(seconds: float) -> str:
    """Return a duration as `42 s`, `3 min 20 s` or `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s" if 0 < seconds < 10 else f"{whole} s"  # noqa: PLR2004
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def moment(seconds: float) -> str:
    """Return a time since the epoch as ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def counted(n: int, one: str, many: str | None = None) -> str:
    """Return `1 call`, `2,000 calls`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def printable(text: str) -> str:
    """Return one line without control or direction characters, safe for a terminal."""
    return _UNSAFE_FOR_TERMINALS.sub(" ", text).strip()


def sentence(words: str) -> str:
    """Return words as a sentence: a capital first, a full stop last."""
    return f"{words[:1].upper()}{words[1:]}."


def excerpt(text: str, limit: int) -> str:
    """Return at most `limit` characters, with a mark where the rest was cut."""
    return text if len(text) <= limit else text[: max(0, limit - 1)].rstrip() + "…"


def value_text(value: Json) -> str:
    """Return a parameter's value as people write it: text bare, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def configuration_text(configuration: Configuration, *, limit: int = 40) -> str:
    """Return `model=small, temperature=0.7` on one line, each value cut to `limit` characters."""
    pairs = (f"{printable(name)}={excerpt(printable(value_text(v)), limit)}" for name, v in configuration.items())
    return ", ".join(pairs) or "(no parameters)"


def markdown(text: str) -> str:
    """Return text that Markdown shows as it is, on one line: no markup, no HTML, no new table cell."""
    return _MARKDOWN.sub(r"\\\1", printable(text)).replace("\\<", "&lt;").replace("\\>", "&gt;").replace("\\&", "&amp;")
