"""What of a schema can be searched: enumerations, flags, numbers with bounds; for some names, a guess."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from convergence_cluster.domain.identity import Json
from convergence_cluster.drafting.samples import example_of
from convergence_cluster.drafting.shapes import bounds_of, constant_of, type_of

MAX_VALUES = 8
"""Of an enumeration; of a longer one the first are taken."""
_N_OF_LONG = 3
_MIN_RATIO_OF_LOG = 1000
_N_STEPS = 20
_SLACK = 1e-6
_MAX_WIDTH = 1_000_000
"""Of a range of whole numbers; a wider one goes in longer steps."""
_HINTS = (
    *("model", "temperature", "top_p", "top_k", "top_n", "k", "p", "effort", "mode", "quality", "size", "search_type"),
    *("max_tokens", "max_completion_tokens", "max_output_tokens", "limit", "n_results", "max_results", "num_results"),
    *("reasoning_effort", "verbosity", "threshold", "alpha", "depth", "strategy", "rerank", "dimensions"),
    *("frequency_penalty", "presence_penalty"),
)
_NOT_SEARCHED = {
    *("stream", "stream_options", "store", "background", "n", "seed", "user", "metadata", "service_tier", "logprobs"),
    *("top_logprobs", "debug", "verbose", "async", "webhook", "callback", "dry_run", "page", "page_token", "cursor"),
    *("offset", "after", "before", "parallel_tool_calls", "tool_choice", "prompt_cache_retention", "moderation"),
    *("priority", "cache_control", "safe_prompt", "safety_identifier", "prompt_cache_key", "audio", "modalities"),
    *("inference_geo", "raw_prompting", "truncation", "timeout", "echo", "return_documents", "include_usage"),
}
_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens", "max_new_tokens", "max_tokens_to_sample")
"""Names of one thing; an API that has several wants one of them, the newest."""
_MODELS = re.compile(r"(?:.*[_-])?(?:model|deployment|engine)(?:[_-](?:id|name))?")
_GUESSES: Mapping[str, tuple[float, ...]] = {
    **dict.fromkeys(("top_k", "top_n", "k", "limit", "n_results", "max_results", "num_results"), (5, 20, 50)),
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "max_output_tokens", "max_new_tokens"), (256, 1024)),
    "dimensions": (256, 512, 1024),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Knob:
    """A proposed parameter of the search space."""

    name: str
    values: tuple[Json, ...] = ()
    """Empty: a range."""
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    is_whole: bool = False
    default: Json = None
    """What the API takes where nothing is sent; None: unknown."""
    when: Mapping[str, tuple[Json, ...]] = field(default_factory=dict)
    remark: str = ""
    """What the reader should know of the proposal."""


def rank(name: str) -> int:
    """Return how early a property is worth searching; lower first."""
    return _HINTS.index(name) if name in _HINTS else len(_HINTS)


def is_left_out(name: str) -> bool:
    """Say whether a property changes how an answer is sent or billed, not what it is."""
    return name.lower() in _NOT_SEARCHED


def is_superseded(name: str, siblings: Collection[str]) -> bool:
    """Say whether another property beside this one is the newer name of the same thing."""
    return name in _LIMITS and any(other in siblings for other in _LIMITS[: _LIMITS.index(name)])


def is_model(name: str) -> bool:
    """Say whether a property or a part of a path names the model."""
    return _MODELS.fullmatch(name.lower()) is not None


def knob_of(name: str, shape: Mapping[str, Json], *, is_required: bool = False) -> Knob | None:
    """Return the parameter that a merged schema makes, or None where it is no matter of choice.

    For a number that is required and has no upper end, values are guessed.
    """
    if constant_of(shape) is not None:
        return None
    if shape.get("enum"):
        return _of_values(name, list(shape["enum"]), shape)
    match type_of(shape):
        case "boolean":
            return Knob(name=name, values=(False, True), default=_default(shape))
        case "integer" | "number" as kind:
            return _of_numbers(name, shape, is_whole=kind == "integer", is_required=is_required)
        case "string" if is_model(name):
            return _of_models(name, shape)
        case _:
            return None


def _of_values(name: str, values: list[Json], shape: Mapping[str, Json]) -> Knob:
    n_left = len(values) - _N_OF_LONG
    if len(values) <= MAX_VALUES:
        return Knob(name=name, values=tuple(values), default=_default(shape))
    default = _default(shape)
    first = [value for value in (default,) if value in values] + [value for value in values if value != default]
    return Knob(name=name, values=tuple(first[:_N_OF_LONG]), default=default, remark=f"{n_left} more in the document")


def _of_models(name: str, shape: Mapping[str, Json]) -> Knob:
    given = [value for value in (example_of(shape), *(shape.get("examples") or ())) if isinstance(value, str)]
    given = [value for value in given if value.lower() not in {name.lower(), "string"}]
    if given:
        values = tuple(dict.fromkeys(given))
        return Knob(name=name, values=values[:MAX_VALUES], remark="the document's example; add those to compare")
    return Knob(name=name, values=("MODEL",), remark="the document names none: write the models to compare")


def _of_numbers(name: str, shape: Mapping[str, Json], *, is_whole: bool, is_required: bool) -> Knob | None:
    low, high = bounds_of(shape)
    default = _default(shape)
    if low is not None and high is not None and low < high:
        step = _step(low, high, shape, is_whole=is_whole)
        return Knob(name=name, low=low, high=high, step=step, is_whole=is_whole, default=default)
    guessed = _guess(name, default)
    if not guessed and is_required and low is not None and low >= 1:
        guessed = (low, 4 * low, 16 * low)
    values = [value for value in guessed if (low is None or value >= low) and (high is None or value <= high)]
    if len(values) <= 1:
        return None
    numbers = tuple(int(value) if is_whole else float(value) for value in values)
    limit = "a guess: the document gives no " + ("range" if low is None else f"maximum (from {low:g} on)")
    return Knob(name=name, values=numbers, default=default if default in numbers else None, remark=limit)


def _guess(name: str, default: Json) -> tuple[float, ...]:
    if name in _GUESSES:
        return _GUESSES[name]
    is_number = isinstance(default, int | float) and not isinstance(default, bool) and default > 0
    if is_number and name in _HINTS:
        return (default / 4, default, default * 4)
    return ()


def _step(low: float, high: float, shape: Mapping[str, Json], *, is_whole: bool) -> float | None:
    given = shape.get("multipleOf")
    if isinstance(given, int | float) and 0 < given <= high - low:
        return float(given)
    if is_whole and high - low > _MAX_WIDTH:
        return 10.0 ** math.ceil(math.log10((high - low) / 1000))
    if is_whole or (low > 0 and high / low >= _MIN_RATIO_OF_LOG):
        return None
    rough = (high - low) / _N_STEPS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = min((factor * magnitude for factor in (1, 2, 5, 10)), key=lambda step: abs(step - rough))
    return step if abs(low / step - round(low / step)) < _SLACK else None


def _default(shape: Mapping[str, Json]) -> Json:
    return shape.get("default")
