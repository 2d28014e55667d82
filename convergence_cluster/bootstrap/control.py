"""Runs studies in this process: opens the stores, holds the lease, drives the coordinator, writes the memory."""

import getpass
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from convergence_cluster.bootstrap.answers import dump_answer
from convergence_cluster.bootstrap.assembly import Assembly, NoExecutor, assemble
from convergence_cluster.bootstrap.confirming import confirm, set_aside
from convergence_cluster.bootstrap.continuing import current_study, stored_study
from convergence_cluster.bootstrap.executing import build_executor
from convergence_cluster.bootstrap.housekeeping import Caps, Housekeeping, Progress
from convergence_cluster.bootstrap.interrupting import draining, interruptible
from convergence_cluster.bootstrap.pricing import CostBound
from convergence_cluster.bootstrap.remembering import Memory
from convergence_cluster.bootstrap.reporting import build_report
from convergence_cluster.bootstrap.runner import RunnerFactory, build_plan, build_prices
from convergence_cluster.bootstrap.sandboxes import with_sandbox
from convergence_cluster.bootstrap.searching import dump_legacy
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import NotFound
from convergence_cluster.domain.search import StopReason
from convergence_cluster.metering.budget import Budget
from convergence_cluster.metering.retry import silence_stamina
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.settings import Settings
from convergence_cluster.spec.environment import missing_environment
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.portable import pack
from convergence_cluster.spec.problems import Problem, raise_all
from convergence_cluster.storage.database import Database, open_database
from convergence_cluster.storage.journal import StudyJournal
from convergence_cluster.storage.leases import Leases
from convergence_cluster.storage.optuna_trials import open_trials
from convergence_cluster.storage.studies import Studies, StudyRecord, StudyState

_LEASE_S = 60.0
_DRAIN_S = 30.0
_S_PER_MINUTE = 60.0
_BUDGETS = frozenset({StopReason.BUDGET_USD, StopReason.BUDGET_CALLS, StopReason.BUDGET_TIME})
_READER = -1
"""A fencing token that was never given out: reads, and could not write."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sitting:
    """What one process got done on a study."""

    study: LoadedStudy
    report: StudyReport
    last_error: str | None
    """What the provider said when it stopped the study."""
    is_resumed: bool


class Control:
    """Runs studies in this process."""

    def __init__(self, settings: Settings, *, environ: Mapping[str, str], clock: Clock) -> None:
        silence_stamina()
        self._settings = settings
        self._environ = environ
        self._clock = clock

    def run(
        self, study: LoadedStudy, *, source: Path | None, is_new: bool, listener: Callable[[Progress], None]
    ) -> Sitting:
        """Run a study to its end, or go on with an unfinished one of the same file unless `is_new`.

        Raises:
            SpecError: the environment lacks a variable, or a budget in USD could not be kept for want of a price.
            Conflict: another process runs the study.
        """
        self.check(study)
        with self._database() as database:
            studies = Studies(database)
            found = studies.find_unfinished(name=study.spec.api.name, digest=study.digest)
            if found is not None and is_new:
                studies.set_state(found.id, StudyState.CANCELLED, now_s=self._clock.now_s())
                found = None
            record = found or self._create(studies, study, source)
            return self._sit(database, record, study, listener=listener, is_resumed=found is not None)

    def resume(self, study_id: str | None, *, listener: Callable[[Progress], None]) -> Sitting:
        """Go on with a study; None: the newest unfinished one, else the newest that a budget ended.

        Raises:
            NotFound: there is no such study.
            Conflict: its file changed since, or another process runs it.
        """
        with self._database() as database:
            record = self._find(database, study_id, needs_unfinished=study_id is None)
            study = current_study(record)
            self.check(study)
            return self._sit(database, record, study, listener=listener, is_resumed=True)

    def look(self, study_id: str | None) -> tuple[StudyReport, LoadedStudy]:
        """Return the report of a study as its journal stands, without running anything; None: the newest one.

        Raises:
            NotFound: there is no such study.
            Conflict: the program decides otherwise now than when the study ran.
        """
        with self._database() as database:
            record = self._find(database, study_id, needs_unfinished=False)
            study = stored_study(record)
            assembly = assemble(
                study,
                record,
                journal=StudyJournal(database, study=record.id, token=_READER),
                budget=Budget(clock=self._clock),
                bound=self._bound(study),
                clock=self._clock,
                executor=NoExecutor(),
                recorded=Studies(database).answer(record.id),
                books_unknown=False,
            )
            reason = StopReason(record.reason) if record.reason else None
            return build_report(assembly, study, record, reason, finished_at_s=record.updated_at_s), study

    def studies(self) -> tuple[StudyRecord, ...]:
        """Return the newest studies, newest first; one whose process is gone is interrupted."""
        with self._database() as database:
            leases, now_s = Leases(database), self._clock.now_s()
            return tuple(
                replace(record, state=StudyState.INTERRUPTED)
                if record.state is StudyState.RUNNING and leases.holder(record.id, now_s=now_s) is None
                else record
                for record in Studies(database).list()
            )

    def check(self, study: LoadedStudy) -> None:
        """Refuse what could not run, before anything is spent.

        Raises:
            SpecError: the environment lacks a variable, or a budget in USD could not be kept for want of a price.
        """
        problems: list[Problem] = missing_environment(study.spec, self._environ)
        raise_all(replace(problem, file=study.file, line=study.lines.get(problem.path, 0)) for problem in problems)
        self._bound(study).check()
        RunnerFactory(study, environ=self._environ, meter=Budget(clock=self._clock), clock=self._clock)

    def _bound(self, study: LoadedStudy) -> CostBound:
        return CostBound(study, build_plan(study), build_prices(study, environ=self._environ, clock=self._clock))

    @contextmanager
    def _database(self) -> Iterator[Database]:
        database = open_database(self._settings.database_url)
        try:
            yield database
        finally:
            database.close()

    def _find(self, database: Database, study_id: str | None, *, needs_unfinished: bool) -> StudyRecord:
        if study_id is not None:
            return Studies(database).get(study_id)
        known = Studies(database).list()
        wanted = [*filter(_is_unfinished, known), *filter(_is_out_of_budget, known)] if needs_unfinished else known
        if wanted:
            return wanted[0]
        kind = "unfinished study" if needs_unfinished else "study"
        raise NotFound(f"There is no {kind} in {database.name}; `convergence status` lists them.")

    def _create(self, studies: Studies, study: LoadedStudy, source: Path | None) -> StudyRecord:
        memory = Memory(study, self._settings, self._clock)
        legacy, sentence = memory.recall()
        document = {
            "study": pack(study),
            "legacy": dump_legacy(legacy),
            "started_from": sentence,
        }
        return studies.create(
            name=study.spec.api.name,
            digest=study.digest,
            spec_json=json.dumps(document),
            source_path=None if source is None else str(source.absolute()),
            now_s=self._clock.now_s(),
        )

    def _sit(
        self,
        database: Database,
        record: StudyRecord,
        study: LoadedStudy,
        *,
        listener: Callable[[Progress], None],
        is_resumed: bool,
    ) -> Sitting:
        leases, studies = Leases(database), Studies(database)
        token = leases.claim(record.id, _me(), ttl_s=_LEASE_S, now_s=self._clock.now_s())
        state, reason, ended_s = StudyState.INTERRUPTED, None, None
        studies.set_state(record.id, StudyState.RUNNING, now_s=self._clock.now_s(), token=token)
        studies.set_answer(record.id, None)
        try:
            with ExitStack() as stack:
                reachable = stack.enter_context(with_sandbox(study))
                housekeeping = self._housekeeping(study, listener, lambda: self._renew(leases, record, token))
                assembly = self._assemble(
                    database, record, reachable, token=token, housekeeping=housekeeping, stack=stack
                )
                reason = self._drive(assembly, reachable, housekeeping)
            state = StudyState.INTERRUPTED if reason in {None, StopReason.PROVIDER} else StudyState.FINISHED
            ended_s = self._clock.now_s()
            report = build_report(assembly, study, record, reason, finished_at_s=ended_s)
            studies.set_answer(record.id, dump_answer(report.recommendation, assembly.coordinator.trajectory.points))
            if state is StudyState.FINISHED:
                Memory(study, self._settings, self._clock).save(
                    record, report, assembly.coordinator.optimizer.learned()
                )
            return Sitting(
                study=study, report=report, last_error=assembly.coordinator.last_error, is_resumed=is_resumed
            )
        finally:
            stopped = None if reason is None else reason.value
            studies.set_state(record.id, state, now_s=ended_s or self._clock.now_s(), reason=stopped, token=token)
            leases.release(record.id, token)

    def _renew(self, leases: Leases, record: StudyRecord, token: int) -> None:
        leases.renew(record.id, token, ttl_s=_LEASE_S, now_s=self._clock.now_s())

    def _housekeeping(
        self, study: LoadedStudy, listener: Callable[[Progress], None], renew: Callable[[], None]
    ) -> Housekeeping:
        caps = Caps(usd=study.spec.budget.usd, calls=study.max_calls, time_s=_time_s(study))
        return Housekeeping(clock=self._clock, caps=caps, listener=listener, renew=renew)

    def _journal(self, database: Database, record: StudyRecord, study: LoadedStudy, token: int) -> StudyJournal:
        trials = open_trials(database, study=record.id, space=study.space, baseline=study.baseline)
        return StudyJournal(database, study=record.id, token=token, trials=trials)

    def _assemble(
        self,
        database: Database,
        record: StudyRecord,
        study: LoadedStudy,
        *,
        token: int,
        housekeeping: Housekeeping,
        stack: ExitStack,
    ) -> Assembly:
        budget = Budget(clock=self._clock, usd=study.spec.budget.usd, calls=study.max_calls, time_s=_time_s(study))
        executor = build_executor(study, environ=self._environ, meter=budget, clock=self._clock)
        stack.callback(executor.close)
        journal = self._journal(database, record, study, token)  # while a child process starts
        bound = self._bound(study)
        if study.holdout:
            set_aside(study, budget, bound)
        return assemble(
            study,
            record,
            journal=journal,
            budget=budget,
            bound=bound,
            clock=self._clock,
            executor=executor,
            on_absorbed=housekeeping,
        )

    def _drive(self, assembly: Assembly, study: LoadedStudy, housekeeping: Housekeeping) -> StopReason | None:
        coordinator = assembly.coordinator
        housekeeping.begin(coordinator)
        with interruptible(coordinator), draining(coordinator, _DRAIN_S):
            reason = coordinator.run()
            if study.holdout and reason not in {None, StopReason.PROVIDER}:
                assembly.budget.give_back()
                confirm(assembly, study)
                reason = coordinator.stop_reason if coordinator.is_stopping else reason
        coordinator.finish(reason)
        housekeeping.show(coordinator, is_final=True)
        return reason


def _is_unfinished(record: StudyRecord) -> bool:
    return record.state in {StudyState.RUNNING, StudyState.INTERRUPTED}


def _is_out_of_budget(record: StudyRecord) -> bool:
    return record.reason in _BUDGETS


def _time_s(study: LoadedStudy) -> float | None:
    minutes = study.spec.budget.minutes
    return None if minutes is None else minutes * _S_PER_MINUTE


def _me() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
