"""What a simulated model answers to one call, and what a configuration is worth on average."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_QUALITY_ONLY = MappingProxyType({"quality": 1.0})


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer before any wire format."""

    text: str
    latency_s: float
    output_tokens: int
    reasoning_tokens: int = 0
    """Part of `output_tokens`."""
    is_cut: bool = False
    """`max_tokens` ended the answer."""
    quality: float | None = None
    """The graded quality, for landscapes that grade; None where the text has to be judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighting:
    """How quality, latency and cost become one number: the weighted mean of utilities in [0, 1]."""

    weights: Mapping[str, float] = field(default_factory=lambda: _QUALITY_ONLY)
    """By `quality`, `latency_ms`, `cost_usd`; they need not sum to 1."""
    latency_ms: float = 1000.0
    """The latency of an unhurried server (speed 1) whose utility is one half."""
    cost_usd: float = 0.001
    """The cost whose utility is one half."""

    def score(self, quality: float, latency_ms: float, cost_usd: float) -> float:
        """Return the score of one call."""
        weight = self.weights.get
        total = (
            weight("quality", 0.0) * quality
            + weight("latency_ms", 0.0) / (1.0 + latency_ms / self.latency_ms)
            + weight("cost_usd", 0.0) / (1.0 + cost_usd / self.cost_usd)
        )
        return total / sum(self.weights.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """Exact expectations of one configuration, over all cases and over chance."""

    quality: float
    latency_ms: float
    cost_usd: float
    score: float
    """The expected score of a call, which is not the score of the expectations."""


def mean_truth(truths: tuple[Truth, ...]) -> Truth:
    """Return the mean of several truths."""
    n = len(truths)
    return Truth(
        quality=sum(truth.quality for truth in truths) / n,
        latency_ms=sum(truth.latency_ms for truth in truths) / n,
        cost_usd=sum(truth.cost_usd for truth in truths) / n,
        score=sum(truth.score for truth in truths) / n,
    )
