"""One process at work on one study: from the claim of its lease to the answer that is kept."""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from convergence_cluster.bootstrap.answers import dump_answer
from convergence_cluster.bootstrap.assembly import Assembly, assemble
from convergence_cluster.bootstrap.calibrating import calibrate
from convergence_cluster.bootstrap.confirming import confirm, set_aside
from convergence_cluster.bootstrap.housekeeping import Caps, Housekeeping, Progress
from convergence_cluster.bootstrap.pricing import CostBound
from convergence_cluster.bootstrap.remembering import Memory
from convergence_cluster.bootstrap.reporting import build_report
from convergence_cluster.bootstrap.sandboxes import with_sandbox
from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.coordinator.protocols import Executor
from convergence_cluster.coordinator.rounds import Rounds
from convergence_cluster.domain.calls import CallOutcome
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.journal import CallKey
from convergence_cluster.domain.search import StopReason
from convergence_cluster.metering.budget import Budget
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.settings import Settings
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.storage.database import Database
from convergence_cluster.storage.journal import StudyJournal
from convergence_cluster.storage.leases import Leases
from convergence_cluster.storage.optuna_trials import open_trials
from convergence_cluster.storage.studies import Studies, StudyRecord, StudyState

_LEASE_S = 60.0
_S_PER_MINUTE = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Sitting:
    """What one process got done on a study."""

    study: LoadedStudy
    report: StudyReport
    last_error: str | None
    """What the provider said when it stopped the study."""
    is_resumed: bool


class OpenExecutor(Protocol):
    """Says where the calls of a study run."""

    def __call__(self, study: LoadedStudy, budget: Budget) -> Executor:
        """Return the executor of a study whose endpoint can be called; retries reserve from `budget`."""
        ...


SittingRounds: TypeAlias = Generator[None, Sequence[CallOutcome], Sitting]
"""A sitting at work; see `coordinator.coordinating.Rounds`."""


class StudySitting:
    """Runs one study, a round at a time.

    `guard` is entered while calls are made. On a cluster (`is_shared`) the study is claimed whoever holds it, who is
    then fenced off; a sitting that is left or fails leaves the study running, for another to go on; and
    `is_under_way` says which of its calls workers are making already.
    """

    def __init__(
        self,
        database: Database,
        record: StudyRecord,
        study: LoadedStudy,
        *,
        settings: Settings,
        clock: Clock,
        bound: CostBound,
        holder: str,
        open_executor: OpenExecutor,
        listener: Callable[[Progress], None],
        guard: Callable[[Coordinator], AbstractContextManager[None]],
        is_under_way: Callable[[CallKey], bool] = lambda _: False,
        is_shared: bool = False,
        is_resumed: bool = False,
    ) -> None:
        self._database = database
        self._record = record
        self._study = study
        self._settings = settings
        self._clock = clock
        self._bound = bound
        self._holder = holder
        self._open_executor = open_executor
        self._listener = listener
        self._guard = guard
        self._is_under_way = is_under_way
        self._is_shared = is_shared
        self._is_resumed = is_resumed
        self._executor: Executor | None = None
        self.coordinator: Coordinator | None = None
        """From the first round on."""
        self._is_cancelled = False

    def cancel(self) -> None:
        """Send nothing more; the study is cancelled when its calls under way have finished, unless it ended before."""
        if self.coordinator is not None and not self._is_cancelled:
            self.coordinator.stop()
        self._is_cancelled = True

    def collect(self, timeout_s: float) -> Sequence[CallOutcome]:
        """Return what finished since the last time, waiting up to `timeout_s` seconds for the first."""
        return self._executor.collect(timeout_s) if self._executor is not None else ()

    def rounds(self) -> SittingRounds:
        """Work on the study; end with what came of it.

        Raises:
            Conflict: another process runs the study, or its journal is not of this study.
            LeaseLost: another process took the study over.
        """
        record, clock = self._record, self._clock
        leases, studies = Leases(self._database), Studies(self._database)
        token = leases.claim(record.id, self._holder, ttl_s=_LEASE_S, now_s=clock.now_s(), takes_over=self._is_shared)
        state, reason, ended_s = StudyState.RUNNING if self._is_shared else StudyState.INTERRUPTED, None, None
        studies.set_state(record.id, StudyState.RUNNING, now_s=clock.now_s(), token=token)
        studies.set_answer(record.id, None)
        try:
            with ExitStack() as stack:
                reachable = stack.enter_context(with_sandbox(self._study))
                housekeeping = self._housekeeping(leases, token)
                assembly = self._assemble(reachable, token=token, housekeeping=housekeeping, stack=stack)
                reason = yield from self._work(assembly, reachable, housekeeping)
            is_unfinished = reason in {None, StopReason.PROVIDER}
            state = self._stopped_state if is_unfinished else StudyState.FINISHED
            ended_s = clock.now_s()
            return self._conclude(assembly, studies, reason, ended_s, is_finished=not is_unfinished)
        finally:
            stopped = None if reason is None else reason.value
            studies.set_state(record.id, state, now_s=ended_s or clock.now_s(), reason=stopped, token=token)
            leases.release(record.id, token)

    @property
    def _stopped_state(self) -> StudyState:
        return StudyState.CANCELLED if self._is_cancelled else StudyState.INTERRUPTED

    def _conclude(
        self, assembly: Assembly, studies: Studies, reason: StopReason | None, ended_s: float, *, is_finished: bool
    ) -> Sitting:
        coordinator = assembly.coordinator
        report = build_report(assembly, self._study, self._record, reason, finished_at_s=ended_s)
        studies.set_answer(self._record.id, dump_answer(report.recommendation, coordinator.trajectory.points))
        if is_finished:
            Memory(self._study, self._settings, self._clock).save(self._record, report, coordinator.optimizer.learned())
        return Sitting(study=self._study, report=report, last_error=coordinator.last_error, is_resumed=self._is_resumed)

    def _housekeeping(self, leases: Leases, token: int) -> Housekeeping:
        budget = self._study.spec.budget
        return Housekeeping(
            clock=self._clock,
            caps=Caps(usd=budget.usd, calls=self._study.max_calls, time_s=time_s(self._study)),
            listener=self._listener,
            renew=lambda: leases.renew(self._record.id, token, ttl_s=_LEASE_S, now_s=self._clock.now_s()),
        )

    def _assemble(self, study: LoadedStudy, *, token: int, housekeeping: Housekeeping, stack: ExitStack) -> Assembly:
        budget = Budget(clock=self._clock, usd=study.spec.budget.usd, calls=study.max_calls, time_s=time_s(study))
        self._executor = executor = self._open_executor(study, budget)
        stack.callback(executor.close)
        trials = open_trials(self._database, study=self._record.id, space=study.space, baseline=study.baseline)
        journal = StudyJournal(self._database, study=self._record.id, token=token, trials=trials)
        assembly = assemble(
            study,
            self._record,
            journal=journal,
            budget=budget,
            bound=self._bound,
            clock=self._clock,
            executor=executor,
            on_absorbed=housekeeping,
            is_under_way=self._is_under_way,
        )
        if study.holdout:
            set_aside(assembly, study, bound=self._bound, clock=self._clock)
        return assembly

    def _work(self, assembly: Assembly, study: LoadedStudy, housekeeping: Housekeeping) -> Rounds:
        self.coordinator = coordinator = assembly.coordinator
        housekeeping.begin(coordinator)
        with self._guard(coordinator):
            if study.labels:
                yield from calibrate(assembly, study)
            reason = yield from coordinator.rounds()
            if study.holdout and reason not in {None, StopReason.PROVIDER}:
                assembly.budget.give_back()
                stopped = yield from confirm(assembly, study)
                reason = stopped if coordinator.is_stopping else reason
        coordinator.finish(reason)
        housekeeping.show(coordinator, is_final=True)
        return reason


def time_s(study: LoadedStudy) -> float | None:
    """Return a study's cap on time, or None."""
    minutes = study.spec.budget.minutes
    return None if minutes is None else minutes * _S_PER_MINUTE
