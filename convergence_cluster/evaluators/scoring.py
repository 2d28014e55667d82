"""One number from several metrics, by utilities that are fixed before the first call.

Never rescaled by what has been seen so far: that would make yesterday's score incomparable.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from convergence_cluster.domain.search import Direction


@dataclass(frozen=True, kw_only=True, slots=True)
class Utility:
    """How much one metric's value is worth, in [0, 1]."""

    name: str
    weight: float
    direction: Direction
    scale: float | None = None
    """For MINIMIZE: the value worth one half. None: to be measured on the baseline."""

    def __post_init__(self) -> None:
        if self.weight < 0.0:
            raise ValueError(f"weight of {self.name!r} is {self.weight}; it must not be negative")
        if self.scale is not None and self.scale <= 0.0:
            raise ValueError(f"scale of {self.name!r} is {self.scale}; it must be positive")

    @property
    def needs_scale(self) -> bool:
        """Whether the baseline has to be measured before this utility has a value."""
        return self.direction is Direction.MINIMIZE and self.scale is None

    def value(self, raw: float) -> float:
        """Return the utility of a raw value: clipped to [0, 1] where more is better, else 1 / (1 + raw / scale)."""
        if self.direction is Direction.MAXIMIZE:
            return min(1.0, max(0.0, raw))
        if self.scale is None:
            raise ValueError(f"the scale of {self.name!r} is not known yet")
        return 1.0 / (1.0 + max(0.0, raw) / self.scale)


def score(metrics: Mapping[str, float], utilities: Sequence[Utility]) -> float:
    """Return the weighted mean of utilities, in [0, 1].

    Raises:
        KeyError: a metric is missing.
        ValueError: a scale is not known yet, or no weight is positive.
    """
    total = sum(utility.weight for utility in utilities)
    if total <= 0.0:
        raise ValueError("at least one metric needs a positive weight")
    return sum(utility.weight * utility.value(metrics[utility.name]) for utility in utilities) / total


def with_scales(utilities: Sequence[Utility], scales: Mapping[str, float]) -> tuple[Utility, ...]:
    """Return the utilities with measured scales filled in; those that have one keep it."""
    return tuple(
        replace(utility, scale=scales.get(utility.name)) if utility.needs_scale else utility for utility in utilities
    )
