"""Multi-objective successive halving without barriers, behind the product's Protocol."""

from collections.abc import Mapping, Sequence

import numpy as np

from convergence_cluster.domain.identity import ArmId, Json
from convergence_cluster.domain.search import Block, Direction, Incumbent, Observation, Recommendation, SearchProblem
from convergence_cluster.optimizers.baselines_answer import answer
from convergence_cluster.optimizers.baselines_arms import Tally
from convergence_cluster.optimizers.baselines_space import draw_configuration
from convergence_cluster.optimizers.front import nondominated

RUNGS = (8, 24, 72, 200)
ETA = 3


class ParetoHalving:
    """MO-ASHA: the rows of a rung are ranked by non-dominated sorting, and the best third is promoted.

    Source: Schmucker et al., "Multi-objective asynchronous successive halving", arXiv 2106.12639 (2021).
    """

    def __init__(self, problem: SearchProblem) -> None:
        self._problem = problem
        self._rng = np.random.default_rng([problem.seed, 61])
        self._order = self._rng.permutation(problem.n_cases).tolist()
        self._tallies: list[Tally] = []
        self._rung: list[int] = []
        self._finished: list[dict[int, tuple[float, ...]]] = [{} for _ in RUNGS]
        self._promoted: list[set[int]] = [set() for _ in RUNGS]
        self._signs = [1.0 if o.direction is Direction.MAXIMIZE else -1.0 for o in problem.objectives]

    def ask(self) -> Block:
        """Return the cases of a promoted arm's next rung, else of a new arm's first."""
        arm = self._promote()
        if arm < 0:
            arm = len(self._tallies)
            self._tallies.append(Tally(draw_configuration(self._problem.space, self._rng), "random"))
            self._rung.append(0)
        rung = self._rung[arm]
        cases = self._order[RUNGS[rung - 1] if rung else 0 : RUNGS[rung]]
        return Block(arm=ArmId(arm), configuration=self._tallies[arm].configuration, cases=tuple(cases))

    def tell(self, observations: Sequence[Observation]) -> None:
        """Count finished calls, and a rung where it is complete."""
        for observation in observations:
            arm = int(observation.arm)
            tally = self._tallies[arm]
            tally.record(observation)
            means = tally.mean_objectives()
            if len(tally.told) == min(RUNGS[self._rung[arm]], self._problem.n_cases) and means is not None:
                signed = tuple(sign * mean for sign, mean in zip(self._signs, means, strict=True))
                self._finished[self._rung[arm]][arm] = signed

    def recommend(self, *, full: bool = False) -> Recommendation:  # noqa: ARG002 - the peers show their front only
        """Return the answer from the arms on the highest rung that ten or more have finished, or from all."""
        for finished in reversed(self._finished):
            if len(finished) >= 10:
                return answer(self._problem, [self._tallies[arm] for arm in finished])
        return answer(self._problem, self._tallies)

    def incumbent(self) -> Incumbent | None:
        """Return the first of the front."""
        return self.recommend().incumbent

    def learned(self) -> Mapping[str, Json]:
        """Return nothing: there is no policy."""
        return {}

    def _promote(self) -> int:
        for rung in range(len(RUNGS) - 2, -1, -1):
            finished, promoted = self._finished[rung], self._promoted[rung]
            n_top = len(finished) // ETA
            if n_top > len(promoted):
                for arm in _ranked(finished)[:n_top]:
                    if arm not in promoted:
                        promoted.add(arm)
                        self._rung[arm] = rung + 1
                        return arm
        return -1


def _ranked(finished: Mapping[int, tuple[float, ...]]) -> list[int]:
    arms = np.array(list(finished))
    points = np.array(list(finished.values()))
    ranked: list[int] = []
    while len(arms):
        front = nondominated(points)
        ranked += arms[front].tolist()
        arms, points = arms[~front], points[~front]
    return ranked
