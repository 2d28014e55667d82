"""What scoring one answer took, and what its reader should know."""

from convergence_cluster.metering.prices import Cost

_ROUNDING = 1e-6


class Scoring:
    """Filled by the evaluators of one call."""

    __slots__ = ("cached_usd", "clamped", "n_asked", "n_unpriced", "repeat", "sources", "usd")

    def __init__(self) -> None:
        self.repeat = 0
        """Which draw of its configuration on its case the answer is."""
        self.usd = 0.0
        """What helping models took."""
        self.cached_usd = 0.0
        """The part of it that the cache answered, which was not paid."""
        self.n_asked = 0
        """How often they were asked."""
        self.n_unpriced = 0
        """How often of these nobody knows the price."""
        self.sources: set[str] = set()
        """Whose word the prices are."""
        self.clamped: dict[str, float] = {}
        """Metrics whose value was outside of [0, 1], as it was."""

    def charge(self, cost: Cost | None) -> None:
        """Add the cost of one attempt; None: unknown."""
        self.n_asked += 1
        if cost is None:
            self.n_unpriced += 1
        else:
            self.usd += cost.usd
            self.sources.add(cost.source)

    def spare(self, cost: Cost | None) -> None:
        """Add what a question would have cost that the cache answered; None: unknown, and not paid either."""
        self.n_asked += 1
        if cost is not None:
            self.usd += cost.usd
            self.cached_usd += cost.usd
            self.sources.add(cost.source)

    def clamp(self, metric: str, value: float) -> float:
        """Return the value within [0, 1], noting one that was outside by more than rounding."""
        inside = min(1.0, max(0.0, value))
        if abs(inside - value) > _ROUNDING:
            self.clamped[metric] = value
        return inside
