"""Runs studies in this process: opens the stores, holds the lease, drives the coordinator, writes the memory."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from convergence_cluster.bootstrap.assembly import NoExecutor, assemble
from convergence_cluster.bootstrap.checking import check_study
from convergence_cluster.bootstrap.continuing import current_study, stored_study
from convergence_cluster.bootstrap.executing import build_executor
from convergence_cluster.bootstrap.housekeeping import Progress
from convergence_cluster.bootstrap.interrupting import draining, interruptible
from convergence_cluster.bootstrap.recording import create_record, me
from convergence_cluster.bootstrap.reporting import build_report
from convergence_cluster.bootstrap.runner import RunnerFactory, cost_bound
from convergence_cluster.bootstrap.sitting import Sitting, StudySitting
from convergence_cluster.bootstrap.traces import open_traces
from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.coordinator.rounds import drive
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import NotFound
from convergence_cluster.domain.search import StopReason
from convergence_cluster.metering.budget import Budget
from convergence_cluster.metering.retry import silence_stamina
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.settings import Settings
from convergence_cluster.spec.environment import missing_environment
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.problems import Problem, raise_all
from convergence_cluster.storage.database import Database, open_database
from convergence_cluster.storage.journal import StudyJournal
from convergence_cluster.storage.studies import Studies, StudyRecord, StudyState

_DRAIN_S = 30.0
_BUDGETS = frozenset({StopReason.BUDGET_USD, StopReason.BUDGET_CALLS, StopReason.BUDGET_TIME})
_READER = -1
"""A fencing token that was never given out: reads, and could not write."""


class Control:
    """Runs studies in this process."""

    def __init__(
        self,
        settings: Settings,
        *,
        environ: Mapping[str, str],
        clock: Clock,
        require: Callable[[LoadedStudy], None] = lambda _: None,
    ) -> None:
        """`require` refuses a study that its caller has no use for, by a `SpecError`, before anything is spent."""
        silence_stamina()
        self._require = require
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
            record = found or create_record(studies, study, source, settings=self._settings, clock=self._clock)
            if found is None:
                open_traces(self._settings.traces).submitted(record.id, study.spec.api.name)
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
            Conflict: its journal is not of this study.
        """
        with self._database() as database:
            record = self._find(database, study_id, needs_unfinished=False)
            study = stored_study(record)
            assembly = assemble(
                study,
                record,
                journal=StudyJournal(database, study=record.id, token=_READER),
                budget=Budget(clock=self._clock),
                bound=cost_bound(study, environ=self._environ, clock=self._clock),
                clock=self._clock,
                executor=NoExecutor(),
                recorded=Studies(database).answer(record.id),
                books_unknown=False,
            )
            reason = StopReason(record.reason) if record.reason else None
            return build_report(assembly, study, record, reason, finished_at_s=record.updated_at_s), study

    def check(self, study: LoadedStudy) -> None:
        """Refuse what could not run, before anything is spent.

        Raises:
            SpecError: a template names what is not there, the environment lacks a variable, or a budget in USD could
                not be kept for want of a price.
        """
        check_study(study)
        self._require(study)
        problems: list[Problem] = missing_environment(study.spec, self._environ)
        raise_all(replace(problem, file=study.file, line=study.lines.get(problem.path, 0)) for problem in problems)
        cost_bound(study, environ=self._environ, clock=self._clock).check()
        RunnerFactory(study, environ=self._environ, meter=Budget(clock=self._clock), clock=self._clock)

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

    def _sit(
        self,
        database: Database,
        record: StudyRecord,
        study: LoadedStudy,
        *,
        listener: Callable[[Progress], None],
        is_resumed: bool,
    ) -> Sitting:
        sitting = StudySitting(
            database,
            record,
            study,
            settings=self._settings,
            clock=self._clock,
            bound=cost_bound(study, environ=self._environ, clock=self._clock),
            holder=me(),
            open_executor=lambda study, budget: build_executor(
                study, environ=self._environ, meter=budget, clock=self._clock
            ),
            listener=listener,
            guard=_guarded,
            is_resumed=is_resumed,
        )
        return drive(sitting.rounds(), sitting.collect)


@contextmanager
def _guarded(coordinator: Coordinator) -> Iterator[None]:
    with interruptible(coordinator), draining(coordinator, _DRAIN_S):
        yield


def _is_unfinished(record: StudyRecord) -> bool:
    return record.state in {StudyState.RUNNING, StudyState.INTERRUPTED}


def _is_out_of_budget(record: StudyRecord) -> bool:
    return record.reason in _BUDGETS
