"""What scoring one answer took, and what its reader should know."""


class Scoring:
    """Filled by the evaluators of one call."""

    __slots__ = ("clamped", "n_calls", "sources", "usd")

    def __init__(self) -> None:
        self.usd = 0.0
        """What helping models were paid."""
        self.n_calls = 0
        """How often they were asked."""
        self.sources: set[str] = set()
        """Whose word the prices are."""
        self.clamped: dict[str, float] = {}
        """Metrics whose value was outside of [0, 1], as it was."""

    def charge(self, usd: float, source: str) -> None:
        """Add the price of one answered attempt."""
        self.usd += usd
        self.n_calls += 1
        self.sources.add(source)

    def clamp(self, metric: str, value: float) -> float:
        """Return the value within [0, 1], noting one that was outside by more than rounding."""
        inside = min(1.0, max(0.0, value))
        if abs(inside - value) > _ROUNDING:
            self.clamped[metric] = value
        return inside


_ROUNDING = 1e-6
