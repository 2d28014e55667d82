"""What anybody who reaches the database can do with a cluster: submit, follow, cancel, resume."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from convergence_cluster.bootstrap.checking import check_study
from convergence_cluster.bootstrap.continuing import current_study
from convergence_cluster.bootstrap.control import Control
from convergence_cluster.bootstrap.housekeeping import Progress
from convergence_cluster.bootstrap.leadership import current_leader
from convergence_cluster.bootstrap.progress_text import parse_failure, parse_progress
from convergence_cluster.bootstrap.recording import create_record, with_study
from convergence_cluster.bootstrap.runner import cost_bound
from convergence_cluster.bootstrap.sitting import Sitting
from convergence_cluster.bootstrap.traces import open_traces
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import Conflict, NotFound
from convergence_cluster.domain.identity import StudyId
from convergence_cluster.domain.search import StopReason
from convergence_cluster.settings import Settings
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.storage.database import Database, open_database
from convergence_cluster.storage.studies import Placement, Priority, Studies, StudyRecord, StudyState
from convergence_cluster.storage.submissions import CANCEL, Submissions

_POLL_S = 0.3
_LATE_S = 6.0
"""How long to wait for the reason of an end that is known: a coordinator tells every second how far studies are."""
_AT_WORK = frozenset({StudyState.QUEUED, StudyState.RUNNING})


class ClusterClient:
    """Talks to the coordinator through the database alone."""

    def __init__(self, settings: Settings, *, environ: Mapping[str, str], clock: Clock) -> None:
        self._settings = settings
        self._environ = environ
        self._clock = clock

    def submit(self, study: LoadedStudy, *, source: Path | None, priority: Priority, is_new: bool) -> StudyId:
        """Queue a study, or go on with an unfinished one of the same file unless `is_new`; return its id.

        Raises:
            SpecError: a template names what is not there, or a budget in USD could not be kept for want of a price.
        """
        check_study(study)
        cost_bound(study, environ=self._environ, clock=self._clock).check()
        with self._database() as database:
            studies, submissions = Studies(database), Submissions(database)
            found = studies.find_unfinished(name=study.spec.api.name, digest=study.digest, placement=Placement.CLUSTER)
            if found is not None and is_new:
                self._cancel(studies, submissions, found)
                found = None
            if found is None:
                found = create_record(
                    studies, study, source, settings=self._settings, clock=self._clock, priority=priority
                )
                open_traces(self._settings.traces).submitted(found.id, study.spec.api.name)
            elif found.state is StudyState.INTERRUPTED:
                submissions.queue(found.id, spec_json=with_study(found, study), now_s=self._clock.now_s())
            return found.id

    def resume(self, study: str | None) -> StudyId | None:
        """Queue a study of the cluster again; None: it is not one of a cluster, or there is none.

        Raises:
            NotFound: there is no such study.
            Conflict: its file changed since.
        """
        with self._database() as database:
            studies = Studies(database)
            record = self._stopped(studies) if study is None else studies.get(study)
            if record is None or record.placement is not Placement.CLUSTER:
                return None
            if record.state not in _AT_WORK:
                spec_json = with_study(record, current_study(record))
                Submissions(database).queue(record.id, spec_json=spec_json, now_s=self._clock.now_s())
            return record.id

    def cancel(self, study: str) -> StudyState:
        """Ask for a study to be stopped; return what it was.

        Raises:
            NotFound: there is no such study.
            Conflict: it runs in a process of its own.
        """
        with self._database() as database:
            studies = Studies(database)
            record = studies.get(study)
            if record.placement is not Placement.CLUSTER:
                raise Conflict(f"Study {study} does not run on a cluster; stop its process with Ctrl-C.")
            if record.state in _AT_WORK or record.state is StudyState.INTERRUPTED:
                self._cancel(studies, Submissions(database), record)
            return record.state

    def newest(self) -> StudyId:
        """Return the newest study of the cluster.

        Raises:
            NotFound: there is none.
        """
        with self._database() as database:
            for record in Studies(database).list():
                if record.placement is Placement.CLUSTER:
                    return record.id
            raise NotFound(f"No study was submitted to a cluster in {database.name}; see `convergence submit --help`.")

    def leader(self) -> str | None:
        """Return who coordinates the cluster now, or None where nobody does."""
        with self._database() as database:
            return current_leader(database, queue=self._settings.queue, now_s=self._clock.now_s())

    def follow(self, study: StudyId, *, listener: Callable[[Progress], None]) -> Sitting:
        """Show a study's progress until it ends; return its answer.

        Raises:
            Conflict: it was cancelled, or the coordinator could not go on with it; the message says why.
        """
        with self._database() as database:
            record, failure = self._wait(Studies(database), Submissions(database), study, listener)
        if record.state is StudyState.CANCELLED and record.n_calls == 0:
            raise Conflict(f"Study {study} was cancelled before its first call.")
        if failure is not None:
            raise _stopped_for(failure, study)
        report, loaded = Control(self._settings, environ=self._environ, clock=self._clock).look(study)
        late = self._late_failure(study) if report.stop_reason is StopReason.PROVIDER else None
        if late is not None:
            raise _stopped_for(late, study)
        return Sitting(study=loaded, report=report, last_error=None, is_resumed=False)

    def _wait(
        self, studies: Studies, submissions: Submissions, study: StudyId, listener: Callable[[Progress], None]
    ) -> tuple[StudyRecord, str | None]:
        shown = None
        while True:
            record = studies.get(study)
            text = submissions.shown(study)
            if text is not None and text != shown:
                shown = text
                progress = parse_progress(text)
                if progress is not None:
                    listener(progress)
            if record.state not in _AT_WORK:
                failure = parse_failure(text) if text is not None else None
                return record, failure if record.state is StudyState.INTERRUPTED else None
            time.sleep(_POLL_S)

    def _late_failure(self, study: StudyId) -> str | None:
        """Return why the API refuses every call: the coordinator says so a moment after the study has ended."""
        with self._database() as database:
            for _ in range(round(_LATE_S / _POLL_S)):
                text = Submissions(database).shown(study)
                failure = None if text is None else parse_failure(text)
                if failure is not None:
                    return failure
                time.sleep(_POLL_S)
        return None

    def _cancel(self, studies: Studies, submissions: Submissions, record: StudyRecord) -> None:
        if record.state in _AT_WORK:
            submissions.ask(record.id, CANCEL)
        else:
            studies.set_state(record.id, StudyState.CANCELLED, now_s=self._clock.now_s())

    def _stopped(self, studies: Studies) -> StudyRecord | None:
        stopped = {StudyState.INTERRUPTED, StudyState.CANCELLED}
        mine = [record for record in studies.list() if record.placement is Placement.CLUSTER]
        return next((record for record in mine if record.state in stopped), None)

    @contextmanager
    def _database(self) -> Iterator[Database]:
        database = open_database(self._settings.database_url)
        try:
            yield database
        finally:
            database.close()


def _stopped_for(failure: str, study: StudyId) -> Conflict:
    return Conflict(f"{failure}\nWhat is finished is kept; mend it, then: convergence resume {study}")


def without_cache(study: LoadedStudy) -> LoadedStudy:
    """Return the same study, none of whose calls are remembered."""
    api = study.spec.api.model_copy(update={"cache": False})
    return replace(study, spec=study.spec.model_copy(update={"api": api}))
