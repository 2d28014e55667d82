"""The search: arms race over test cases in one shared order, and a model of the parameters says which arms to open."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import ArmId, Json
from convergence_cluster.domain.search import (
    BASELINE,
    ArmState,
    Block,
    Incumbent,
    Legacy,
    Observation,
    Recommendation,
    SearchProblem,
    StopReason,
)
from convergence_cluster.optimizers.answer import answer, incumbent
from convergence_cluster.optimizers.arms import Arms, Birth, Proposal
from convergence_cluster.optimizers.belief import Belief, believed
from convergence_cluster.optimizers.change import change_since
from convergence_cluster.optimizers.choosing import GROWTH, Choosing
from convergence_cluster.optimizers.constraints import Bounds
from convergence_cluster.optimizers.elimination import beaten, cannot_run
from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.genome import Codec
from convergence_cluster.optimizers.metrics import Metrics, no_metrics
from convergence_cluster.optimizers.model import Model
from convergence_cluster.optimizers.openings import baseline_lags, credit, is_elite_worth_it, openings
from convergence_cluster.optimizers.optimism import Optimism
from convergence_cluster.optimizers.order import case_order, case_weights, known_first
from convergence_cluster.optimizers.policy import OperatorPolicy
from convergence_cluster.optimizers.schedule import Schedule
from convergence_cluster.optimizers.sources import candidates_of, foreign
from convergence_cluster.optimizers.stopping import StoppingRule, best_beaten, ending
from convergence_cluster.optimizers.tradeoffs import Tradeoffs

MAX_BLOCK = 16
REFRESH = 0.03
"""The model is fitted anew when the calls have grown by this part, and at least by `MIN_REFRESH`."""
MIN_REFRESH = 4
N_PARENTS = 20
FRONT_SHARE = 0.5
"""Of the decisions of a study with several metrics, made for the sake of the whole front."""
N_SPREAD = 12
"""Arms that get a single case get any of so many: what one case does to all alike would be taken for what they are."""
MARGIN = 0.5
"""Of the margin that the study asks for: a challenger has to beat the leader by that."""

Floats = NDArray[np.float64]


class RacingSearch:
    """An `Optimizer`: Thompson sampling over raced arms and modelled candidates.

    `problem.settings["ablate"]` switches off racing, pairing, surrogate, interplay, worth, evolution, policy or legacy.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self._problem = problem
        self._ablated = frozenset(problem.settings.get("ablate", ()))
        legacy = Legacy() if "legacy" in self._ablated else problem.legacy
        self._rng = np.random.default_rng(problem.seed)
        weights = case_weights(problem)
        order = known_first(case_order(problem.n_cases, problem.case_tags, self._rng), legacy.cases)
        self._schedule = Schedule(order.tolist(), problem.max_repeats)
        can_repeat, with_effects = problem.max_repeats > 1, "pairing" not in self._ablated
        self._evidence = Evidence(weights, can_repeat=can_repeat, with_effects=with_effects, known=legacy.cases)
        self._metrics = Metrics(len(problem.objectives), weights, can_repeat=can_repeat)
        self._policy = OperatorPolicy(legacy.policy, is_learning="policy" not in self._ablated)
        codec = self._codec = Codec(problem.space)
        design, self._candidates = candidates_of(
            codec,
            problem.space.candidates,
            self._policy,
            is_modelled="surrogate" not in self._ablated,
            is_breeding="evolution" not in self._ablated,
        )
        with_interplay, with_worth = with_effects and "interplay" not in self._ablated, "worth" not in self._ablated
        self._model = Model(codec, design, weights, legacy.arms, with_interplay=with_interplay)
        self._arms = Arms()
        self._choosing = Choosing(
            self._arms, self._model, self._candidates, self._schedule, self._evidence,
            margin=MARGIN * problem.stopping.within, with_worth=with_worth,
        )  # fmt: skip
        self._optimism = Optimism()
        self._n_told = 0
        self._due = 0
        self._wanted = openings(legacy.elites, problem.baseline)
        self._tradeoffs = Tradeoffs(problem.objectives)
        self._has_front = len(problem.objectives) > 1 and "front" not in self._ablated
        self._rule = StoppingRule(problem)
        self._bounds = Bounds(problem.objectives, problem.n_cases)
        self._candidates.refresh(self._model, np.zeros((0, len(codec.genes))), self._rng)

    def ask(self) -> Block | StopReason | None:
        """Return the next block, why to stop, or None while everything worth knowing is in flight."""
        if self._rule.reason is not None:
            return self._rule.reason
        forced = self._forced()
        if forced is not None:
            return forced
        state = self._rng.bit_generator.state
        choice = self._choose()
        if choice is None:
            self._rng.bit_generator.state = state
            return (
                None if self._schedule.in_flight.any() else ending(self._arms.states, is_certain=self._rule.is_certain)
            )
        proposal = self._choosing.proposal(choice, self._rng)
        if proposal is not None:
            return self._open(proposal)
        return self._block(choice, self._block_size(choice))

    def adopt(self, block: Block) -> None:
        """Count a block as asked for that was decided elsewhere."""
        if block.arm > self._arms.n:
            raise ValueError(f"arm {block.arm} comes before arm {self._arms.n} was asked for")
        if block.arm == self._arms.n:
            self._wanted = [wanted for wanted in self._wanted if wanted[1] != block.configuration]
            proposal = self._candidates.claim(block.configuration)
            proposal = proposal or foreign(self._codec, self._model.design, block.configuration)
            self._enter(replace(proposal, operator=block.operator))
        self._schedule.adopt(block.arm, block.cases, block.repeat)

    def tell(self, observations: Sequence[Observation]) -> None:
        """Learn from finished calls; those told before are ignored."""
        touched = set()
        for seen in observations:
            if seen.arm >= self._arms.n:
                raise ValueError(f"no arm {seen.arm} was asked for; there are {self._arms.n}")
            if not self._schedule.settle((seen.arm, seen.case, seen.repeat), seen.kind):
                continue
            self._n_told += 1
            if seen.kind is OutcomeKind.OK and seen.score is not None:
                kin = self._model.interplay.at(self._arms.features[seen.arm], seen.case)
                self._optimism.watch(self._arms, self._evidence, int(seen.arm), seen.case, seen.score - kin.value)
                self._evidence.add(seen.arm, seen.case, seen.score, float(self._arms.means[seen.arm]), kin)
                if seen.objectives:
                    self._metrics.add(seen.arm, seen.case, seen.objectives)
                touched.add(seen.arm)
            else:
                arm = int(seen.arm)
                if cannot_run(seen.kind, int(self._schedule.n_told[arm]), int(self._schedule.n_failed[arm])):
                    self._arms.retire(arm, ArmState.OUT)
        for arm in touched:
            self._arms.learn(arm, self._model.deviations, self._evidence)
        is_drained = self._rule.reason is not None and not self._schedule.in_flight.any()
        if self._n_told >= self._due or is_drained:  # what came after the decision to stop may have undone it
            self._refresh()

    def recommend(self, *, full: bool = False) -> Recommendation:
        """Return the answer so far, `full` with every arm. Has no effect on later decisions."""
        belief, has_baseline = self._belief(with_metrics=True), self._problem.baseline is not None
        return answer(
            belief,
            has_baseline=has_baseline,
            within=self._problem.stopping.within,
            change=change_since(BASELINE, self._evidence, belief) if has_baseline else None,
            n_calls=self._n_told,
            rng=np.random.default_rng([self._problem.seed, self._n_told]),
            full=full,
        )

    def incumbent(self) -> Incumbent | None:
        """Return the recommended arm and its score."""
        return incumbent(self._belief(with_metrics=self._bounds.exist))

    def learned(self) -> Mapping[str, Json]:
        """Return the operator policy's state as JSON."""
        return self._policy.state()

    def _forced(self) -> Block | None:
        """Open the baseline and the elites, then keep the baseline comparable with the leader."""
        while self._wanted:
            if self._wanted[-1][0] == "elite" and not is_elite_worth_it(self._arms, self._evidence):
                break
            operator, configuration = self._wanted.pop()
            proposal = self._candidates.claim(configuration)
            if proposal is None and operator == "baseline":
                proposal = foreign(self._codec, self._model.design, configuration)
            if proposal is not None:
                return self._open(replace(proposal, operator=operator))
        if self._problem.baseline is not None and baseline_lags(self._arms, self._evidence, self._schedule):
            return self._block(0, self._block_size(0))
        return None

    def _choose(self) -> int | None:
        """Return what to call next, as `Choosing` counts it, or None."""
        if self._tradeoffs.is_known and self._rng.random() < FRONT_SHARE:
            choice = self._choosing.for_front(self._tradeoffs, self._rng)
            if choice is not None:
                return choice
        leader = (
            self._choosing.leader(self._bounds.broken) if self._rng.integers(2) == 0 else None
        )  # proves the answer, or draws a leader
        choice = self._choosing.for_score(leader, self._rng)
        if choice is None and not self._problem.stopping.enabled:
            return best_beaten(self._arms, self._schedule)
        return choice

    def _open(self, proposal: Proposal) -> Block:
        arm, expected = self._enter(proposal)
        may_fail = not self._model.feasibility.surely(proposal.features[None])[0]
        size = self._choosing.first_size(arm, expected, is_guess=proposal.is_guess or may_fail)
        place = int(self._rng.integers(min(N_SPREAD, self._problem.n_cases))) if size == 1 else 0
        return self._block(arm, size, place)

    def _enter(self, proposal: Proposal) -> tuple[int, float]:
        """Make a proposal an arm; return its id and the score that is expected of it."""
        prior = self._model.expected(proposal.features[None], proposal.row[None])
        incumbent = float(self._arms.means.max()) if self._arms.n else 0.0
        birth = Birth(operator=proposal.operator, context=self._candidates.context(), incumbent=incumbent)
        arm = self._arms.open(proposal, birth, prior, self._model.deviations)
        self._evidence.add_arm(float(self._model.interplay.variance(proposal.features[None])[0]))
        self._schedule.open()
        if len(self._candidates.prior.means) == 0:
            self._due = 0  # or nothing would be left to ask for in a space that has more
        return arm, float(prior.means[0])

    def _block(self, arm: int, size: int, place: int = 0) -> Block:
        if "racing" in self._ablated:
            size, place = self._problem.n_cases, 0
        cases, repeat = self._schedule.take(arm, size, place)
        configuration, operator = self._arms.configurations[arm], self._arms.births[arm].operator
        return Block(arm=ArmId(arm), configuration=configuration, cases=cases, repeat=repeat, operator=operator)

    def _block_size(self, arm: int) -> int:
        return min(max(math.ceil(GROWTH * int(self._schedule.n_told[arm])), 1), MAX_BLOCK)

    def _refresh(self) -> None:
        """Fit case effects, noise and model anew; retire the beaten; choose the shortlist; decide whether to stop."""
        self._due = self._n_told + max(MIN_REFRESH, int(REFRESH * self._n_told))
        arms, evidence = self._arms, self._evidence
        if self._model.is_outgrown(arms.n):
            self._model.redesign(arms)
            self._candidates.redesign()
        evidence.adjust(arms.means, self._model.kin(arms))
        self._model.fit(arms, evidence, self._candidates.features)
        for arm in self._model.feasibility.learn(arms, evidence.counts, self._schedule.n_failed):
            arms.retire(int(arm), ArmState.OUT)
        if not (evidence.counts > 0).any():
            self._candidates.refresh(self._model, arms.rows[:0], self._rng)
            return
        if self._bounds.exist:
            self._bounds.retire(arms, self._metrics.means(arms.n), evidence.counts)
        self._retire_beaten()
        ranked = np.argsort(-np.where(arms.is_alive, arms.means, -np.inf), kind="stable")[:N_PARENTS]
        credit(self._policy, arms, evidence)
        if self._has_front:
            self._tradeoffs.fit(self._model.design, arms.features, self._metrics.means(arms.n))
            ranked = self._tradeoffs.parents(ranked, self._rng)
        self._candidates.refresh(self._model, arms.rows[ranked], self._rng, self._tradeoffs)
        if self._problem.stopping.enabled:
            belief = self._belief(with_metrics=self._bounds.exist)
            self._rule.judge(belief, self._choosing.certainty, n_told=self._n_told)

    def _retire_beaten(self) -> None:
        leader = self._choosing.leader(self._bounds.broken)
        self._optimism.lead(self._arms, leader)
        if leader is None or "racing" in self._ablated:
            return
        gone = beaten(leader, self._arms.means, self._arms.variances, self._evidence)
        for arm in np.flatnonzero(gone & self._arms.is_alive):
            self._arms.retire(int(arm), ArmState.DEAD)

    def _belief(self, *, with_metrics: bool) -> Belief:
        arms = self._arms
        return believed(
            arms,
            self._evidence,
            self._schedule,
            self._optimism,
            enough=self._choosing.enough(),
            spread=float(self._model.deviations.spread),
            metrics=self._metrics.means(arms.n) if with_metrics else no_metrics(arms.n),
            objectives=self._problem.objectives if with_metrics else (),
            reach=self._tradeoffs.sure(arms.n) if self._tradeoffs.is_known else None,
        )
