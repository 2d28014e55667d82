"""The loop of a study: ask, write down, submit, collect, write down, tell."""

from collections.abc import Callable, Sequence

import structlog

from convergence_cluster.coordinator.accounts import Accounts, is_finished
from convergence_cluster.coordinator.fruitless import Fruitless
from convergence_cluster.coordinator.line import Line
from convergence_cluster.coordinator.observing import Observer
from convergence_cluster.coordinator.ordering import Order, block_keys
from convergence_cluster.coordinator.outage import Outage
from convergence_cluster.coordinator.protocols import Budget, Executor, Journal, Optimizer
from convergence_cluster.coordinator.rounds import POLL_S, Rounds
from convergence_cluster.coordinator.sittings import Sittings
from convergence_cluster.coordinator.trajectory import Trajectory
from convergence_cluster.coordinator.treasury import Treasury
from convergence_cluster.domain.calls import Call, CallOutcome, Late, Lost
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import Configuration, StudyId
from convergence_cluster.domain.journal import Asked, Calibrated, CallKey, Event, History, LedgerEntry, Stopped, Told
from convergence_cluster.domain.search import BASELINE, Block, StopReason

log = structlog.get_logger()


class Coordinator:
    """The one writer of a study; single-threaded but for `stop`.

    `parallelism` calls are on the wire, and as many wait behind them as `order` says. `on_absorbed` is called after
    every round, for progress and housekeeping.
    """

    def __init__(
        self,
        *,
        study: StudyId,
        optimizer: Optimizer,
        executor: Executor,
        journal: Journal,
        observer: Observer,
        order: Order,
        budget: Budget,
        bound_usd: Callable[[Configuration, int], float],
        clock: Clock,
        parallelism: int,
        scoring_usd: Callable[[int], float] = lambda _: 0.0,
        n_draws: int = 1,
        on_absorbed: Callable[["Coordinator"], None] = lambda _: None,
    ) -> None:
        self.study = study
        self.optimizer = optimizer
        self.accounts = Accounts()
        self.sittings = Sittings(clock)
        self.trajectory = Trajectory()
        self.outcomes: dict[CallKey, CallOutcome] = {}
        self.block_index: dict[CallKey, int] = {}
        """Which decision, from 0, asked for a call."""
        self.last_error: str | None = None
        self.on_booked: Callable[[Sequence[CallOutcome]], None] = lambda _: None
        """Called with finished calls once they are durable."""
        self._executor = executor
        self._journal = journal
        self._observer = observer
        self._order = order
        self._budget = budget
        self._treasury = Treasury(budget, clock)
        self._line = Line(
            study, executor=executor, budget=budget, bound_usd=bound_usd, scoring_usd=scoring_usd, n_draws=n_draws
        )
        self.call = self._line.call
        """Returns the work order of one call."""
        self._clock = clock
        self._target = order.window(parallelism)
        self._on_absorbed = on_absorbed
        self._fruitless = Fruitless(parallelism)
        self._outage = Outage(parallelism)
        """What it holds back is still among the calls on the wire."""
        self.stop_reason: StopReason | None = None
        """What `stop` was told; None: interrupted, or not stopped."""
        self.is_stopping = False
        self._n_blocks = 0

    @property
    def n_in_flight(self) -> int:
        """Count the calls submitted and not finished."""
        return self._line.n_on_wire

    def stop(self, reason: StopReason | None = None) -> None:
        """Send nothing more, let the calls on the wire finish, then return from `run`. From any thread."""
        self.stop_reason = reason
        self.is_stopping = True

    def rounds(self) -> Rounds:
        """Work on the study a round at a time, so that one thread can drive many; end with why it stopped, or None.

        Raises:
            LeaseLost: another process took the study over.
        """
        is_cancelled = False
        while True:
            decision = self._fill()
            self._submit()
            if self._line.n_on_wire == self._outage.n_held:
                if self._absorb((), is_last=True):
                    continue
                return self._conclude(decision)
            if self.is_stopping and not is_cancelled:
                is_cancelled = True
                self._executor.cancel()
            self._absorb((yield))
            self._on_absorbed(self)

    def drain(self, timeout_s: float) -> None:
        """After a failure of ours: send nothing more, and write down what comes back within `timeout_s` seconds."""
        self.stop()
        self._executor.cancel()
        deadline_s = self._clock.monotonic_s() + timeout_s
        while self._line.n_on_wire and self._clock.monotonic_s() < deadline_s:
            self._book(self._executor.collect(POLL_S), events=())

    def extra_rounds(self, blocks: Sequence[Block]) -> Rounds:
        """Run blocks that no search asked for, as far as the budget goes; end when they have finished.

        What the search asked for and nobody made yet waits until then: sent here, it would take the room kept for these
        blocks, and the search would not learn of it.
        """
        ordered = [self._line.calls(block) for block in blocks]
        self._journal.append(events=[_asked(block, calls) for block, calls in zip(blocks, ordered, strict=True)])
        calls = [call for calls in ordered for call in calls if call.key not in self.outcomes]
        waiting = self._line.swap(calls)
        self._submit()
        while self._line.n_on_wire:
            if self.is_stopping:
                self._executor.cancel()
            self._book((yield), events=())
            self._submit()
            self._on_absorbed(self)
        self._line.swap(waiting)
        return self.stop_reason

    def finish(self, reason: StopReason | None) -> None:
        """Write down why the study ended, and every arm as it stands."""
        answer = self.optimizer.recommend(full=True)
        self._journal.record_arms(self.accounts.final_arms({arm.arm: arm for arm in answer.arms}))
        self._journal.append(events=(*self.sittings.end(), Stopped(reason=reason)))
        log.info("study.stopped", study=self.study, reason=reason.value if reason else "interrupted")

    def begin(self) -> None:
        """Write down that a sitting begins, so that its time counts from here on."""
        self._journal.append(events=(self.sittings.begin(),))

    def record(self) -> None:
        """Write down that the sitting goes on, and the arms that changed since the last time as running trials."""
        self._journal.append(events=(self.sittings.beat(),))
        self._journal.record_arms(self.accounts.changed_arms())

    # What else comes of calls that others make

    def account_for(self, lost: Sequence[Lost], late: Sequence[Late]) -> None:
        """Queue calls again that nobody is making any more; write down their cost and that of late answers."""
        entries = [entry for each in lost if self._line.take_back(each.call) for entry in self._treasury.give_up(each)]
        entries += [entry for each in late for entry in self._treasury.correct(each)]
        if entries:
            self._journal.append(ledger=entries)
        self.accounts.book(entries)

    # What a replay does in place of the loop

    def restore_money(self, history: History) -> None:
        """Take up what earlier sittings booked."""
        self.accounts.book(history.ledger)
        self._treasury.restore(history)

    def restore_block(self, block: Block) -> None:
        """Take up a block that the search asked for in an earlier sitting."""
        self._order.ask(block)
        self.block_index.update(dict.fromkeys(block_keys(block), self._n_blocks))
        self._n_blocks += 1
        self.accounts.open_arm(block, now_s=self._clock.now_s())

    def restore_told(self, batch: Sequence[CallOutcome]) -> None:
        """Let the search learn again what it was told in an earlier sitting."""
        self._order.finish(batch)
        self._order.release()
        self.learn(batch)

    def restore_outcomes(self, outcomes: Sequence[CallOutcome]) -> None:
        """Take up durable outcomes that the search was not told."""
        self._order.finish(outcomes)

    def restore_calls(self, calls: Sequence[Call]) -> None:
        """Take up calls that were asked for and never finished: they are made now."""
        self._line.extend(calls)

    def learn(self, batch: Sequence[CallOutcome]) -> None:
        """Tell the search, and count."""
        observations = [self._observer.observe(outcome) for outcome in batch]
        self.optimizer.tell(observations)
        for outcome, observation in zip(batch, observations, strict=True):
            self.accounts.count(outcome, observation.score)
        self.trajectory.note(self.accounts.n_calls, self.optimizer.incumbent)

    def _fill(self) -> StopReason | None:
        """Ask until enough is under way; write the decisions down before any of their calls can be sent."""
        events: list[Event] = []
        decision: Block | StopReason | None = None
        n_held = self._outage.n_held if self._order.can_run_ahead else 0
        while not self.is_stopping and self._order.n_outstanding() - n_held < self._target:
            decision = self.optimizer.ask()
            if not isinstance(decision, Block):
                break
            events.append(self._open(decision))
        if events:
            self._journal.append(events=events)
        return decision if isinstance(decision, StopReason) else None

    def _open(self, block: Block) -> Asked:
        calls = self._line.calls(block)
        self._line.extend(calls)
        self.restore_block(block)
        return _asked(block, calls)

    def _submit(self) -> None:
        if self._budget.refusal(0.0, n=0) is StopReason.BUDGET_TIME and not self.is_stopping:
            self.stop(StopReason.BUDGET_TIME)
        if not self.is_stopping:
            self._line.send()

    def _conclude(self, decision: StopReason | None) -> StopReason | None:
        if self.is_stopping:
            return self.stop_reason
        if not self._line.is_empty():
            return self._line.refusal()
        if decision is None:
            raise ConvergenceError("the search waits for calls although none is under way; please report this")
        return decision

    def _absorb(self, arrived: Sequence[CallOutcome], *, is_last: bool = False) -> bool:
        """Make finished calls durable, then let the search learn of those whose turn it is, asking in between.

        Return whether it learned anything.
        """
        final = self._outage.screen(arrived, is_last=is_last)
        self._order.finish([outcome for outcome in final if is_finished(outcome)])
        batch, events = self._release()
        self._book(arrived, final=final, events=events)
        is_learning = bool(batch)
        while batch:
            self.learn(batch)
            self._fill()
            batch, events = self._release()
            if events:
                self._journal.append(events=events)
        return is_learning

    def _release(self) -> tuple[Sequence[CallOutcome], tuple[Event, ...]]:
        """Return the calls to learn from now and how that is written down; fix the scales with the first of them.

        An interrupted study learns nothing more, so that it goes on exactly where it was.
        """
        is_interrupted = self.is_stopping and self.stop_reason is None
        if is_interrupted or (not self._observer.is_calibrated and self._order.is_under_way(BASELINE)):
            return (), ()
        batch = self._order.release()
        if not batch:
            return (), ()
        told = Told(keys=tuple(outcome.call.key for outcome in batch))
        scales = None if self._observer.is_calibrated else self._observer.fix_scales(batch, baseline=BASELINE)
        return batch, (told,) if scales is None else (Calibrated(scales=scales), told)

    def _book(
        self, arrived: Sequence[CallOutcome], *, events: Sequence[Event], final: Sequence[CallOutcome] | None = None
    ) -> None:
        """Settle the money of what arrived and write it all down in one transaction; `final` in place of the outcomes.

        What an outage holds back is paid for when it arrives, for Redis forgets it then.
        """
        final = arrived if final is None else final
        finished = [outcome for outcome in final if is_finished(outcome)]
        entries: list[LedgerEntry] = []
        for outcome in arrived:
            entries += self._treasury.settle(self._line.on_wire(outcome.call.key), outcome)
        for outcome in final:
            self._line.arrived(outcome.call.key)
            if outcome.halts:
                self.last_error = outcome.error
                self.stop(StopReason.PROVIDER)
        if entries or events:
            self._journal.append(events=events, outcomes=finished, ledger=entries)
        self.accounts.book(entries)
        self.outcomes.update((outcome.call.key, outcome) for outcome in finished)
        self.on_booked(finished)
        if self._fruitless.note(finished, among=self.outcomes.values()) and not self.is_stopping:
            self.stop(StopReason.NO_FEASIBLE)


def _asked(block: Block, calls: Sequence[Call]) -> Asked:
    return Asked(block=block, reserved_usd=sum(call.reserved_usd for call in calls))
