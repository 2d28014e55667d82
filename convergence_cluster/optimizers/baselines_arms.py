"""Arms that are each called on all their cases, and what came back: the bookkeeping that all baselines share."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Protocol, TypeAlias

import numpy as np

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import ArmId, Configuration, canonical_json
from convergence_cluster.domain.search import ArmState, Block, Observation, SearchProblem, StopReason

MAX_BLOCK = 16
"""An arm is asked in blocks of this many calls, so that several workers can share it."""

MAX_OUT = 64
"""Give up after this many arms if not one of them has a score."""

Cell: TypeAlias = tuple[int, int]
"""(repeat, case) of one arm."""

Propose: TypeAlias = Callable[[Mapping[str, ArmId]], tuple[Configuration, str] | None]
"""From the canonical texts of all opened arms to a new configuration and its operator; None: there is none."""


class Learn(Protocol):
    """Hears of every arm once, when all calls of its first pass are told or it is out."""

    def __call__(self, configuration: Configuration, tally: "Tally") -> None:
        """Learn from a finished arm."""
        ...


@dataclass(frozen=True, slots=True)
class Moments:
    """What a posterior needs to know of an arm's draws, at least one."""

    n: int
    mean: float
    squares: float
    """The sum of squared distances from the mean."""

    @classmethod
    def of(cls, draws: Iterable[float]) -> "Moments":
        """Return those of draws."""
        values = list(draws)
        mean = math.fsum(values) / len(values)
        return cls(len(values), mean, math.fsum((x - mean) ** 2 for x in values))


class Tally:
    """One arm: the cells still to ask, those in flight, and the answers."""

    def __init__(self, configuration: Configuration, operator: str) -> None:
        self.configuration = configuration
        self.operator = operator
        self.pending: list[Cell] = []
        self.in_flight: set[Cell] = set()
        self.told: set[Cell] = set()
        self.scores: dict[Cell, float] = {}
        self.objectives: dict[Cell, tuple[float, ...]] = {}
        self.is_infeasible = False
        self.is_reported = False
        self._moments: tuple[Moments, tuple[Moments, ...]] | None = None

    @property
    def state(self) -> ArmState:
        """OUT where it cannot run, or more than half of at least four calls gave no score."""
        n_told = len(self.told)
        too_few = n_told >= 4 and 2 * len(self.scores) < n_told  # noqa: PLR2004
        return ArmState.OUT if self.is_infeasible or too_few else ArmState.ALIVE

    def case_scores(self) -> dict[int, float]:
        """Return the mean score of each scored case, over its repeats."""
        sums: dict[int, list[float]] = {}
        for (_, case), score in self.scores.items():
            sums.setdefault(case, []).append(score)
        return {case: sum(values) / len(values) for case, values in sums.items()}

    def moments(self, weights: Sequence[float] | None) -> tuple[Moments, tuple[Moments, ...]]:
        """Return those of the scores, one value a case, and of every raw metric; counted once until more is told.

        Under `weights` the scores' distances from their weighted mean are so scaled that their plain mean is that.
        """
        if self._moments is None:
            scores = self.case_scores()
            draws = list(scores.values())
            mean = self.mean_score(weights)
            if weights is not None and mean is not None:
                mean_weight = sum(weights[case] for case in scores) / len(scores)
                draws = [mean + weights[case] / mean_weight * (score - mean) for case, score in scores.items()]
            columns = zip(*self.objectives.values(), strict=True)
            self._moments = Moments.of(draws), tuple(map(Moments.of, columns))
        return self._moments

    def mean_score(self, weights: Sequence[float] | None) -> float | None:
        """Return the weighted mean over the scored cases, or None without any."""
        scores = self.case_scores()
        if not scores:
            return None
        shares = np.array([1.0 if weights is None else weights[case] for case in scores])
        return float(shares @ np.array(list(scores.values())) / shares.sum())

    def mean_objectives(self) -> tuple[float, ...] | None:
        """Return the mean of each raw metric over the scored calls, or None without any."""
        if not self.objectives:
            return None
        return tuple(float(mean) for mean in np.mean(list(self.objectives.values()), axis=0))

    def take(self, n_max: int) -> tuple[int, tuple[int, ...]]:
        """Move up to `n_max` pending cells of one repeat into flight; return the repeat and the cases."""
        repeat = self.pending[0][0]
        taken = list(takewhile(lambda cell: cell[0] == repeat, self.pending[:n_max]))
        del self.pending[: len(taken)]
        self.in_flight.update(taken)
        return repeat, tuple(case for _, case in taken)

    def adopt(self, cells: Sequence[Cell]) -> None:
        """Move these cells into flight."""
        taken = set(cells)
        self.pending = [cell for cell in self.pending if cell not in taken]
        self.in_flight.update(cells)

    def record(self, observation: Observation) -> None:
        """Take one finished call; one that was told before is ignored, one that was never sent may be asked again."""
        cell = (observation.repeat, observation.case)
        if cell in self.told:
            return
        if observation.kind is OutcomeKind.SKIPPED:
            if cell in self.in_flight:
                self.in_flight.discard(cell)
                self.pending.append(cell)
            return
        self.in_flight.discard(cell)
        self.told.add(cell)
        if observation.kind is OutcomeKind.OK and observation.score is not None:
            self._moments = None
            self.scores[cell] = observation.score
            self.objectives[cell] = observation.objectives
        self.is_infeasible |= observation.kind is OutcomeKind.INFEASIBLE


class WholeArms:
    """Asks every arm on all its cases, the baseline first, then whatever is proposed; no arm twice.

    Where the problem allows repeats, further passes over all arms follow once there is nothing new to propose.
    """

    def __init__(self, problem: SearchProblem, propose: Propose, learn: Learn | None = None) -> None:
        self.problem = problem
        self.tallies: list[Tally] = []
        self._propose = propose
        self._learn = learn
        self._arms: dict[str, ArmId] = {}
        self._in_work: dict[ArmId, None] = {}
        self._repeat = 0
        self._order = tuple(int(case) for case in np.random.default_rng(problem.seed).permutation(problem.n_cases))

    def ask(self) -> Block | StopReason | None:
        """Return the next block of the arm in work, else of a new arm, else of a further pass."""
        arm = next(iter(self._in_work), None)
        if arm is None and not self._is_hopeless():
            arm = self._open_next()
        if arm is None and self._repeat + 1 < self.problem.max_repeats:
            arm = self._start_pass()
        if arm is None:
            return self._why_nothing()
        tally = self.tallies[arm]
        repeat, cases = tally.take(MAX_BLOCK)
        self._set_in_work(arm)
        return Block(arm=arm, configuration=tally.configuration, cases=cases, repeat=repeat, operator=tally.operator)

    def adopt(self, block: Block) -> None:
        """Count a block as asked for that was decided elsewhere."""
        if block.arm > len(self.tallies):
            raise ValueError(f"arm {block.arm} comes before arm {len(self.tallies)} was asked for")
        if block.arm == len(self.tallies):
            self._open(block.configuration, block.operator)
        while self._repeat < block.repeat:
            if self._start_pass() is None:
                raise ValueError(f"repeat {block.repeat} comes before repeat {self._repeat} has come back")
        self.tallies[block.arm].adopt([(block.repeat, case) for case in block.cases])
        self._set_in_work(block.arm)

    def tell(self, observations: Sequence[Observation]) -> None:
        """Record finished calls and report the arms that are complete by them."""
        for observation in observations:
            tally = self.tallies[observation.arm]
            tally.record(observation)
            if tally.state is ArmState.OUT:
                tally.pending.clear()
            self._set_in_work(observation.arm)
            if not (tally.pending or tally.in_flight or tally.is_reported):
                tally.is_reported = True
                if self._learn is not None:
                    self._learn(tally.configuration, tally)

    def _open_next(self) -> ArmId | None:
        proposal: tuple[Configuration, str] | None
        if not self.tallies and self.problem.baseline is not None:
            proposal = self.problem.baseline, "baseline"
        else:
            proposal = self._propose(self._arms)
        return None if proposal is None else self._open(*proposal)

    def _open(self, configuration: Configuration, operator: str) -> ArmId:
        arm = ArmId(len(self.tallies))
        tally = Tally(configuration, operator)
        tally.pending = [(0, case) for case in self._order]
        self._arms[canonical_json(tally.configuration)] = arm
        self.tallies.append(tally)
        return arm

    def _start_pass(self) -> ArmId | None:
        if not all(tally.is_reported for tally in self.tallies):
            return None
        alive = [ArmId(arm) for arm, tally in enumerate(self.tallies) if tally.state is ArmState.ALIVE]
        if not alive:
            return None
        self._repeat += 1
        for arm in alive:
            self.tallies[arm].pending = [(self._repeat, case) for case in self._order]
            self._in_work[arm] = None
        return alive[0]

    def _set_in_work(self, arm: ArmId) -> None:
        if self.tallies[arm].pending:
            self._in_work[arm] = None
        else:
            self._in_work.pop(arm, None)

    def _is_hopeless(self) -> bool:
        return len(self.tallies) >= MAX_OUT and not any(tally.scores for tally in self.tallies)

    def _why_nothing(self) -> StopReason | None:
        if any(tally.in_flight for tally in self.tallies):
            return None
        has_answer = any(tally.scores and tally.state is ArmState.ALIVE for tally in self.tallies)
        return StopReason.EXHAUSTED if has_answer else StopReason.NO_FEASIBLE
