"""The search: arms race over test cases in one shared order, and a model of the parameters says which arms to open."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import ArmId, Json
from convergence_cluster.domain.search import (
    ArmState,
    Block,
    Observation,
    Recommendation,
    SearchProblem,
    StopReason,
)
from convergence_cluster.optimizers.allocation import next_arm
from convergence_cluster.optimizers.answer import Belief, answer, best_arm, chances
from convergence_cluster.optimizers.arms import Arms, Birth, Proposal
from convergence_cluster.optimizers.candidates import BredCandidates, Candidates, ListedCandidates, foreign, listed
from convergence_cluster.optimizers.change import paired_change
from convergence_cluster.optimizers.design import Design
from convergence_cluster.optimizers.deviations import joined
from convergence_cluster.optimizers.elimination import beaten, cannot_run
from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.front import surely_broken, violation
from convergence_cluster.optimizers.genome import Codec
from convergence_cluster.optimizers.metrics import Metrics, no_metrics
from convergence_cluster.optimizers.model import Model
from convergence_cluster.optimizers.openings import baseline_lags, credit, is_elite_worth_it, openings
from convergence_cluster.optimizers.order import case_order, case_weights
from convergence_cluster.optimizers.policy import OperatorPolicy
from convergence_cluster.optimizers.schedule import Schedule
from convergence_cluster.optimizers.stopping import StoppingRule, best_beaten, ending, is_hopeless

N_PILOTS = 4
"""The first arms get `MAX_FIRST` cases whatever is believed, so that noise and case effects can be told apart."""
MAX_FIRST, MAX_BLOCK = 4, 16
GROWTH = 0.5
"""A block has at most this part of the calls that its arm has had."""
REFRESH = 0.03
"""The model is fitted anew when the calls have grown by this part, and at least by `MIN_REFRESH`."""
MIN_REFRESH = 4
N_PARENTS = 20
MARGIN = 0.5  # of the margin that the study asks for: a challenger has to beat the leader by that

Floats = NDArray[np.float64]


class RacingSearch:
    """An `Optimizer`: Thompson sampling over raced arms and modelled candidates.

    `problem.settings["ablate"]` may switch off: racing, pairing, surrogate, interplay, evolution, policy, legacy.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self._problem = problem
        self._ablated = frozenset(problem.settings.get("ablate", ()))
        self._rng = np.random.default_rng(problem.seed)
        weights = case_weights(problem)
        self._schedule = Schedule(
            case_order(problem.n_cases, problem.case_tags, self._rng).tolist(), problem.max_repeats
        )
        self._evidence = Evidence(
            weights, can_repeat=problem.max_repeats > 1, with_effects="pairing" not in self._ablated
        )
        self._metrics = Metrics(len(problem.objectives), weights)
        self._policy = OperatorPolicy(
            {} if "legacy" in self._ablated else problem.legacy.policy, is_learning="policy" not in self._ablated
        )
        codec = self._codec = Codec(problem.space)
        found = listed(codec, problem.space.candidates)
        design = Design(codec, found[1] if found else None, is_useful="surrogate" not in self._ablated)
        self._candidates: Candidates = (
            ListedCandidates(*found, design)
            if found
            else BredCandidates(codec, design, self._policy, is_breeding="evolution" not in self._ablated)
        )
        self._model = Model(design, problem.n_cases, with_interplay="interplay" not in self._ablated)
        self._arms = Arms()
        self._n_told = 0
        self._due = 0
        self._wanted = openings(problem, with_elites="legacy" not in self._ablated)
        self._rule = StoppingRule(problem)
        self._has_bounds = any(o.low is not None or o.high is not None for o in problem.objectives)
        self._broken = np.zeros(0)
        self._stop: StopReason | None = None
        self._p_within = 0.0
        self._candidates.refresh(self._model, np.zeros((0, len(codec.genes))), self._rng)

    def ask(self) -> Block | StopReason | None:
        """Return the next block, why to stop, or None while everything worth knowing is in flight."""
        if self._stop is not None:
            return self._stop
        forced = self._forced()
        if forced is not None:
            return forced
        state = self._rng.bit_generator.state
        choice = self._choose()
        if choice is None:
            self._rng.bit_generator.state = state
            return (
                None
                if self._schedule.in_flight.any()
                else ending(self._arms.states, is_certain=self._p_within >= self._problem.stopping.confidence)
            )
        if choice >= self._arms.n:
            return self._open(self._candidates.take(choice - self._arms.n))
        return self._block(choice, self._block_size(choice))

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
                self._evidence.add(seen.arm, seen.case, seen.score)
                if seen.objectives:
                    self._metrics.add(seen.arm, seen.case, seen.objectives)
                touched.add(seen.arm)
            else:
                arm = int(seen.arm)
                if cannot_run(seen.kind, int(self._schedule.n_told[arm]), int(self._schedule.n_failed[arm])):
                    self._arms.retire(arm, ArmState.OUT)
        for arm in touched:
            self._arms.learn(arm, self._model.deviations, self._evidence)
        if self._n_told >= self._due:
            self._refresh()

    def recommend(self, *, full: bool = False) -> Recommendation:
        """Return the answer so far, `full` with every arm. Has no effect on later decisions."""
        belief = self._belief(with_metrics=True)
        best = best_arm(belief, self._problem.objectives)
        change = None
        if best is not None and self._problem.baseline is not None and belief.n_cases[0] > 0:
            change = paired_change(self._evidence, belief, best, 0)
        return answer(
            belief,
            objectives=self._problem.objectives,
            has_baseline=self._problem.baseline is not None,
            within=self._problem.stopping.within,
            change=change,
            n_calls=self._n_told,
            rng=np.random.default_rng([self._problem.seed, self._n_told]),
            full=full,
        )

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
        """Return the arm to call next, counted on beyond the opened ones for the shortlist, or None."""
        n = self._arms.n
        alive = np.flatnonzero(self._arms.is_alive)
        more = self._schedule.left()[alive]
        free = more & (self._schedule.in_flight[alive] <= GROWTH * self._schedule.n_told[alive])
        n_short = len(self._candidates.prior.means)
        parts = joined(self._arms.parts(alive), self._model.parts(self._candidates.prior))
        leader = self._leader(alive) if self._rng.integers(2) == 0 else None  # proves the answer, or draws a leader
        within = MARGIN * self._problem.stopping.within
        place = next_arm(parts, leader, within, np.concatenate([free, np.ones(n_short, dtype=bool)]), self._rng)
        if place is None:
            place = next_arm(parts, leader, within, more, self._rng)
        if place is None:
            return None if self._problem.stopping.enabled else best_beaten(self._arms, self._schedule)
        return int(alive[place]) if place < len(alive) else n + place - len(alive)

    def _leader(self, alive: NDArray[np.int64]) -> int | None:
        """Return the place among the alive arms of the one that would be recommended."""
        known = self._evidence.counts[alive] > 0
        if not known.any():
            return None
        broken = np.concatenate([self._broken, np.zeros(self._arms.n - len(self._broken))])[alive]
        known &= broken <= broken[known].min()
        return int(np.where(known, self._arms.means[alive], -np.inf).argmax())

    def _open(self, proposal: Proposal) -> Block:
        prior = self._model.expected(proposal.features[None])
        incumbent = float(self._arms.means.max()) if self._arms.n else 0.0
        birth = Birth(operator=proposal.operator, context=self._candidates.context(), incumbent=incumbent)
        arm = self._arms.open(proposal, birth, prior, self._model.deviations)
        self._evidence.add_arm()
        self._schedule.open()
        size = MAX_FIRST
        if arm >= N_PILOTS:
            noise = self._evidence.noise.expected(np.zeros(1), prior.means)[0] + self._evidence.effects.variance
            size = min(max(round(noise / self._arms.variances[arm]), 1), MAX_FIRST)
        return self._block(arm, size)

    def _block(self, arm: int, size: int) -> Block:
        size = self._problem.n_cases if "racing" in self._ablated else size
        cases, repeat = self._schedule.take(arm, size)
        return Block(
            arm=ArmId(arm),
            configuration=self._arms.configurations[arm],
            cases=cases,
            repeat=repeat,
            operator=self._arms.births[arm].operator,
        )

    def _block_size(self, arm: int) -> int:
        return min(max(math.ceil(GROWTH * int(self._schedule.n_told[arm])), 1), MAX_BLOCK)

    def _refresh(self) -> None:
        """Fit case effects, noise and model anew; retire the beaten; choose the shortlist; decide whether to stop."""
        self._due = self._n_told + max(MIN_REFRESH, int(REFRESH * self._n_told))
        arms, evidence = self._arms, self._evidence
        evidence.adjust(arms.means)
        if self._model.is_outgrown(arms.n):
            self._model.redesign(arms)
            self._candidates.redesign()
        self._model.fit(arms, evidence, self._candidates.features)
        if not (evidence.counts > 0).any():
            return
        if self._has_bounds:
            self._retire_infeasible()
        self._retire_beaten()
        ranked = np.argsort(-np.where(arms.is_alive, arms.means, -np.inf), kind="stable")[:N_PARENTS]
        credit(self._policy, arms, evidence)
        self._candidates.refresh(self._model, arms.rows[ranked], self._rng)
        self._judge()

    def _retire_infeasible(self) -> None:
        """Retire arms that clearly break a bound; the leader is chosen among those that break none, as far as known."""
        metrics = self._metrics.means(self._arms.n)
        self._broken = np.nan_to_num(violation(metrics.means, self._problem.objectives))
        for arm in np.flatnonzero(surely_broken(metrics, self._problem.objectives) & self._arms.is_alive):
            self._arms.retire(int(arm), ArmState.DEAD)

    def _retire_beaten(self) -> None:
        arms, counts = self._arms, self._evidence.counts
        alive = np.flatnonzero(arms.is_alive)
        leader = self._leader(alive) if len(alive) > 0 else None
        if leader is None or "racing" in self._ablated:
            return
        gone = beaten(
            leader=int(alive[leader]),
            means=arms.means,
            variances=arms.variances,
            own_means=self._evidence.means(),
            own_errors=self._evidence.errors(arms.means),
            counts=counts,
        )
        for arm in np.flatnonzero(gone & arms.is_alive):
            arms.retire(int(arm), ArmState.DEAD)

    def _judge(self) -> None:
        """Decide whether enough is known, candidates not opened included."""
        if not self._problem.stopping.enabled:
            return
        belief = self._belief(with_metrics=self._has_bounds)
        best = best_arm(belief, self._problem.objectives if self._has_bounds else ())
        if best is None:
            return
        others = self._model.parts(self._candidates.prior).moments()
        within, confidence = self._problem.stopping.within, self._problem.stopping.confidence
        self._p_within = 0.0
        if not is_hopeless(belief, best, within, confidence):
            rng = np.random.default_rng([self._problem.seed, self._n_told])
            self._p_within = chances(belief, best, within, rng, others).p_within
        incumbent = float(belief.means[best])
        self._stop = self._rule.verdict(n_told=self._n_told, incumbent=incumbent, p_within=self._p_within)

    def _belief(self, *, with_metrics: bool) -> Belief:
        arms, evidence = self._arms, self._evidence
        return Belief(
            means=arms.means.copy(),
            variances=arms.variances.copy(),
            level_variance=evidence.effects.level_variance(self._problem.n_cases),
            call_variances=evidence.call_variances(arms.means),
            n_calls=self._schedule.n_told.copy(),
            n_cases=evidence.counts.astype(np.int64),
            states=tuple(arms.states),
            configurations=tuple(arms.configurations),
            operators=tuple(birth.operator for birth in arms.births),
            metrics=self._metrics.means(arms.n) if with_metrics else no_metrics(arms.n),
        )
