"""When enough is known."""

from convergence_cluster.domain.search import SearchProblem, StopReason

ROUND = 4
"""Calls per member of the population in a round, by which patience is counted: a first block for each."""
DEFAULT_POPULATION = 20
MIN_TOLD = 8


class StoppingRule:
    """Certainty and patience. Budgets are held elsewhere."""

    def __init__(self, problem: SearchProblem) -> None:
        self._stopping = problem.stopping
        population = problem.settings.get("evolution", {}).get("population_size", DEFAULT_POPULATION)
        self._round = ROUND * int(population)
        self._record = 0.0
        self._record_at = 0

    def verdict(self, *, n_told: int, incumbent: float, p_within: float) -> StopReason | None:
        """Return why to stop now, or None."""
        if not self._stopping.enabled or n_told < MIN_TOLD:
            return None
        if p_within >= self._stopping.confidence:
            return StopReason.CERTAIN
        if incumbent > self._record * (1.0 + self._stopping.min_improvement):
            self._record, self._record_at = incumbent, n_told
        patience = self._stopping.patience
        if patience is not None and n_told - self._record_at >= patience * self._round:
            return StopReason.PATIENCE
        return None
