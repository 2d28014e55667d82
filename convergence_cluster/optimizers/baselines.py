"""Searches without a model, for comparison: every configuration whole, at random or in order."""

from collections.abc import Mapping, Sequence

import numpy as np

from convergence_cluster.domain.identity import ArmId, Configuration, Json, canonical_json
from convergence_cluster.domain.search import Block, Incumbent, Observation, Recommendation, SearchProblem, StopReason
from convergence_cluster.optimizers.baselines_answer import answer
from convergence_cluster.optimizers.baselines_arms import WholeArms
from convergence_cluster.optimizers.baselines_space import Unopened, all_configurations


class WholeArmSearch:
    """What searches that call every configuration whole have in common; they differ in what they propose."""

    def __init__(self, arms: WholeArms) -> None:
        self._arms = arms

    def ask(self) -> Block | StopReason | None:
        """Return the next block of the configuration in work, else of the next one."""
        return self._arms.ask()

    def adopt(self, block: Block) -> None:
        """Count a block as asked for that was decided elsewhere."""
        self._arms.adopt(block)

    def tell(self, observations: Sequence[Observation]) -> None:
        """Record finished calls; the search learns of a configuration when its last call is told."""
        self._arms.tell(observations)

    def recommend(self, *, full: bool = False) -> Recommendation:
        """Return the configuration with the best posterior mean, `full` with every arm that has a score."""
        return answer(self._arms.problem, self._arms.tallies, full=full)

    def incumbent(self) -> Incumbent | None:
        """Return the configuration with the best posterior mean."""
        return self.recommend().incumbent

    def learned(self) -> Mapping[str, Json]:
        """Return nothing: there is no policy."""
        return {}


class RandomSearch(WholeArmSearch):
    """Configurations drawn at random without replacement, each called on every case.

    Source: Bergstra & Bengio, "Random search for hyper-parameter optimization", JMLR 13 (2012).
    """

    def __init__(self, problem: SearchProblem) -> None:
        super().__init__(WholeArms(problem, self._propose))
        self._rng = np.random.default_rng([problem.seed, 1])
        self._unopened = Unopened(problem.space)

    def _propose(self, opened: Mapping[str, ArmId]) -> tuple[Configuration, str] | None:
        configuration = self._unopened.draw(opened, self._rng)
        return None if configuration is None else (configuration, "random")


class GridSearch(WholeArmSearch):
    """Every configuration in the order of the space, each called on every case; continuous ones at a few levels."""

    def __init__(self, problem: SearchProblem) -> None:
        super().__init__(WholeArms(problem, self._propose))
        self._rest = all_configurations(problem.space)

    def _propose(self, opened: Mapping[str, ArmId]) -> tuple[Configuration, str] | None:
        for configuration in self._rest:
            if canonical_json(configuration) not in opened:
                return configuration, "grid"
        return None
