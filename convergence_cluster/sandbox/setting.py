"""What a request asks of a simulated model, read from a configuration or from the body of a chat request."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

KEYWORDS = (
    ("stepwise", ("stepwise", "step by step")),
    ("concise", ("concise", "only the answer")),
    ("expert", ("expert",)),
    ("friendly", ("friendly",)),
)
"""Style of a system prompt by the words in it, the first that is found; anything else is `plain`."""

EFFORTS = ("none", "low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Setting:
    """A configuration as the simulation understands it; two that mean the same are equal."""

    model: str
    temperature: float | None = None
    max_tokens: int | None = None
    style: str = "plain"
    effort: str | None = None


@lru_cache(maxsize=4096)
def style_of(system_prompt: str) -> str:
    """Return the style that a system prompt, or the name of a prompt, asks for."""
    text = system_prompt.lower()
    return next((style for style, words in KEYWORDS if any(word in text for word in words)), "plain")


def setting_of(configuration: Mapping[str, Any]) -> Setting:
    """Return the setting that a configuration describes; parameters that are absent stay at the API's default."""
    temperature = configuration.get("temperature")
    max_tokens = configuration.get("max_completion_tokens", configuration.get("max_tokens"))
    return Setting(
        str(configuration["model"]),
        None if temperature is None else round(float(temperature), 6),
        None if max_tokens is None else int(max_tokens),
        style_of(str(configuration.get("system_prompt") or "")),
        configuration.get("reasoning_effort"),
    )
