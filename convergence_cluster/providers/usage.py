"""Tokens and finish reasons in the words of each vendor, read into ours."""

import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from convergence_cluster.domain.calls import Finish, Usage
from convergence_cluster.domain.errors import PermanentError
from convergence_cluster.domain.identity import Json

MAX_TOKENS: Final = 10**9
MAX_COST_USD: Final = 1e6
"""Of one answer; what reports more is broken, and nothing may be booked by its word."""

_SHOWN_CHARS: Final = 24

_FINISHES: Mapping[str, Finish] = {
    **dict.fromkeys(
        ("stop", "eos", "end_turn", "stop_sequence", "tool_calls", "tool_use", "function_call"), Finish.STOP
    ),
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"), Finish.LENGTH
    ),
    **dict.fromkeys(
        (
            "refusal",
            "content_filter",
            "safety",
            "recitation",
            "blocklist",
            "prohibited_content",
            "spii",
            "image_safety",
            "image_prohibited_content",
            "image_recitation",
        ),
        Finish.REFUSAL,
    ),
}


class MisreportError(PermanentError):
    """The answer reports tokens or a cost that no answer can have; correct the path, or ask the API's provider."""


def read_finish(reason: Json) -> Finish:
    """Return why the provider stopped; OTHER for a word that nobody here knows."""
    return _FINISHES.get(reason.lower(), Finish.OTHER) if isinstance(reason, str) else Finish.OTHER


def read_usage(usage: Json) -> Usage | None:
    """Return the tokens of an OpenAI-like or Anthropic-like `usage` object, or None where it is neither.

    OpenAI's `prompt_tokens` include cached ones, Anthropic's `input_tokens` exclude them unless details are given.
    """
    if not isinstance(usage, Mapping):
        return None
    if "prompt_tokens" in usage:
        return _openai(usage, "prompt_tokens", "completion_tokens")
    if "input_tokens" not in usage:
        return None
    if "cache_read_input_tokens" in usage or "cache_creation_input_tokens" in usage:
        return anthropic_usage(usage)
    return _openai(usage, "input_tokens", "output_tokens")


def _openai(usage: Mapping[str, Json], input_name: str, output_name: str) -> Usage:
    input_details = _mapping(usage.get(f"{input_name}_details"))
    output_details = _mapping(usage.get(f"{output_name}_details"))
    cached = (
        input_details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or usage.get("num_cached_tokens")
    )
    return Usage(
        input_tokens=count(usage.get(input_name)),
        output_tokens=count(usage.get(output_name)),
        cached_tokens=count(cached),
        cache_write_tokens=count(input_details.get("cache_write_tokens")),
        reasoning_tokens=count(output_details.get("reasoning_tokens")),
    )


def anthropic_usage(usage: Mapping[str, Json]) -> Usage:
    """Return Anthropic's counts, whose `input_tokens` exclude what was read from or written to a cache."""
    cached = count(usage.get("cache_read_input_tokens"))
    written = count(usage.get("cache_creation_input_tokens"))
    return Usage(
        input_tokens=count(usage.get("input_tokens")) + cached + written,
        output_tokens=count(usage.get("output_tokens")),
        cached_tokens=cached,
        cache_write_tokens=written,
        long_write_tokens=count(_mapping(usage.get("cache_creation")).get("ephemeral_1h_input_tokens")),
        reasoning_tokens=count(_mapping(usage.get("output_tokens_details")).get("thinking_tokens")),
    )


def amount(value: Json) -> float | None:
    """Return a number that is finite and not negative, or None where a provider writes anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= sys.float_info.max else None


def count(value: Json) -> int:
    """Return a count of tokens; 0 where a provider writes null or a text.

    Raises:
        MisreportError: a number below 0 or above `MAX_TOKENS`, or none that is finite.
    """
    if not _is_number(value):
        return 0
    if not 0 <= value <= MAX_TOKENS:
        raise MisreportError(f"the answer reports {_shown(value)} tokens; expected from 0 to {MAX_TOKENS:,}")
    return int(value)


def units(value: Json) -> float | None:
    """Return what an answer counts towards its cost, or None where it is no number.

    Raises:
        MisreportError: a number below 0, or none that is finite.
    """
    if not _is_number(value):
        return None
    number = amount(value)
    if number is None:
        raise MisreportError(f"the answer reports a cost of {_shown(value)}; expected a number of at least 0")
    return number


def sensible_cost(usd: float) -> float:
    """Return the cost of one answer as it is.

    Raises:
        MisreportError: it is above `MAX_COST_USD`.
    """
    if not usd <= MAX_COST_USD:
        raise MisreportError(f"the answer reports a cost of {_shown(usd)} USD; expected at most {MAX_COST_USD:,.0f}")
    return usd


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: float) -> str:
    text = str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{Decimal(value):.3e}"


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
