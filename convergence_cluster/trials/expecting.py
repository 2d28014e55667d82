"""How many tokens an answer will take, for a limiter that has to know before it comes."""

from convergence_cluster.domain.calls import Usage

_RECENT = 0.05
"""Weight of each new answer in the mean."""


class ExpectedOutput:
    """The mean of the answers so far; before the first one, what the request allows.

    To reserve what the request allows would slow calls down by as much as their answers are shorter.
    """

    def __init__(self) -> None:
        self._mean: float | None = None

    def tokens(self, limit: int) -> int:
        """Return the expectation under a request's own limit; negative: it has none."""
        if self._mean is None:
            return max(limit, 0)
        return round(self._mean if limit < 0 else min(self._mean, limit))

    def learn(self, usage: Usage) -> None:
        """Take an answer into account."""
        n_tokens = float(usage.output_tokens)
        self._mean = n_tokens if self._mean is None else self._mean + _RECENT * (n_tokens - self._mean)
