"""What the user said."""

from dataclasses import dataclass

GOALS = {
    "balanced": (0.6, 0.2, 0.2),
    "quality": (0.8, 0.1, 0.1),
    "speed": (0.4, 0.5, 0.1),
    "cost": (0.4, 0.1, 0.5),
}
"""Weights of quality, latency and cost."""

USD, CALLS, WORKERS = 1.0, 400, 4
"""Where nothing is said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """Answers to the questions; None: the user leaves it to what is drafted."""

    name: str
    endpoint: str | None = None
    """Base URL of an API from an OpenAPI document; the whole URL of another."""
    key_env: str | None = None
    key_header: str | None = None
    """Carries the key of an API whose document names none; None: `Authorization: Bearer`."""
    models: tuple[str, ...] = ()
    goal: str = "balanced"
    usd: float = USD
    usd_per_call: float | None = None
    """Of an API whose prices no list has."""
    calls: int = CALLS
    workers: int = WORKERS


def weights_of(goal: str) -> tuple[float, float, float]:
    """Return the weights of quality, latency and cost."""
    return GOALS[goal]
