"""Landscapes whose answers carry a number: a smooth or rugged truth plus Gaussian noise, kept within [0, 1].

`predecessor` has 320 configurations and 4 cases; `wide` has 2,000 and 40. Both are constructions: they tell how well a
search copes with noise and interactions, not how any real model behaves.
"""

import math
from collections.abc import Mapping
from typing import Any

from convergence_cluster.sandbox.chance import normal, uniforms
from convergence_cluster.sandbox.setting import Setting

PREDECESSOR_GRID: Mapping[str, tuple[Any, ...]] = {
    "model": ("sim-tiny", "sim-small", "sim-medium", "sim-large"),
    "temperature": tuple(round(0.1 * k, 1) for k in range(16)),
    "max_tokens": (128, 256, 512, 1024, 2048),
}
WIDE_GRID: Mapping[str, tuple[Any, ...]] = {
    "model": ("sim-tiny", "sim-small", "sim-medium", "sim-turbo", "sim-large"),
    "temperature": (0.0, 0.25, 0.5, 0.75, 1.0),
    "max_tokens": (128, 256, 512, 1024),
    "system_prompt": ("plain", "concise", "stepwise", "expert", "friendly"),
    "reasoning_effort": ("none", "low", "medium", "high"),
}
NOISE = 0.05
"""Standard deviation of one call's grade."""

_PEAKS = {
    "sim-tiny": (0.7290, 1.2, 1),
    "sim-small": (0.7890, 0.9, 3),
    "sim-medium": (0.867015, 0.4, 2),
    "sim-large": (0.8090, 0.6, 4),
}
"""Best value, best temperature at the best limit, and the index of the best limit."""
_STEEPNESS = 0.50
"""Loss for each unit of temperature beside the peak."""
_LIMIT_LOSS = 0.05
"""Loss for each doubling beside the best limit."""
_FLOOR = 0.25
_CASE_OFFSETS = (0.02, -0.03, 0.015, -0.005)

_WIDE_ABILITY = {"sim-tiny": -0.9, "sim-small": -0.4, "sim-medium": 0.3, "sim-turbo": 0.1, "sim-large": 0.55}
_WIDE_STYLE = {"plain": -0.35, "concise": 0.0, "stepwise": 0.35, "expert": 0.2, "friendly": -0.2}
_WIDE_TEMPERATURE = {"plain": 0.5, "concise": 0.0, "stepwise": 0.25, "expert": 0.75, "friendly": 0.5}
_WIDE_EFFORT = {"none": 0.0, "low": 0.3, "medium": 0.55, "high": 0.65}
_WIDE_TOKENS_NEEDED = {"none": 7.0, "low": 8.0, "medium": 9.0, "high": 10.0}


def predecessor_mean(setting: Setting, case: int) -> float:
    """Return the grade before noise: one sharp peak for each model, which moves with the limit on tokens."""
    best, temperature, limit = _PEAKS[setting.model]
    away = PREDECESSOR_GRID["max_tokens"].index(setting.max_tokens or 2048) - limit
    distance = abs((1.0 if setting.temperature is None else setting.temperature) - temperature - 0.1 * away)
    value = max(best - _STEEPNESS * distance - _LIMIT_LOSS * abs(away), _FLOOR)
    return value + _CASE_OFFSETS[case]


def wide_mean(setting: Setting, case: int) -> float:
    """Return the grade before noise: main effects that inform, interactions that mislead, cases that disagree."""
    model, style, effort = setting.model, setting.style, setting.effort or "none"
    temperature = 1.0 if setting.temperature is None else setting.temperature
    missing = max(0.0, _WIDE_TOKENS_NEEDED[effort] + (style == "stepwise") - math.log2(setting.max_tokens or 1024))
    logit = (
        1.0
        + _WIDE_ABILITY[model]
        + _WIDE_STYLE[style]
        + _WIDE_EFFORT[effort] * (1.0 - 0.5 * _WIDE_ABILITY[model])
        - 1.2 * (temperature - _WIDE_TEMPERATURE[style]) ** 2
        - 0.45 * missing**1.5
        + 0.30 * _effect("model-style", model, style)
        + 0.15 * _effect("model-effort", model, effort)
        + 0.60 * _effect("case", case)
        + 0.35 * _effect("case-model", case, model)
        + 0.25 * _effect("case-style", case, style)
    )
    return 1.0 / (1.0 + math.exp(-logit))


def _effect(*words: object) -> float:
    """Return a standard normal number that belongs to these words for ever."""
    return normal(uniforms("effect", *words)[0])
