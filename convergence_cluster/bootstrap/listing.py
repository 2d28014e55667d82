"""The studies that a database holds, at a glance."""

import json
from dataclasses import dataclass, replace
from typing import Any

from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.search import Interval
from convergence_cluster.settings import Settings
from convergence_cluster.storage.database import open_database
from convergence_cluster.storage.leases import Leases
from convergence_cluster.storage.studies import Placement, Studies, StudyRecord, StudyState
from convergence_cluster.storage.submissions import Submissions


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A study at a glance."""

    record: StudyRecord
    score: Interval | None
    """Of the best configuration: of the answer, or of the progress that a coordinator told last."""


def list_studies(settings: Settings, *, clock: Clock) -> tuple[Listed, ...]:
    """Return the newest studies, newest first; one that ran in a process of its own that is gone is interrupted.

    Raises:
        StorageError: the database does not answer.
    """
    database = open_database(settings.database_url)
    try:
        leases, studies, submissions = Leases(database), Studies(database), Submissions(database)
        now_s = clock.now_s()
        found = []
        for record in studies.list():
            is_mine = record.state is StudyState.RUNNING and record.placement is Placement.HERE
            is_gone = is_mine and leases.holder(record.id, now_s=now_s) is None
            score = _score(studies.answer(record.id), "answer") or _score(submissions.shown(record.id), "progress")
            state = StudyState.INTERRUPTED if is_gone else record.state
            found.append(Listed(record=replace(record, state=state), score=score))
        return tuple(found)
    finally:
        database.close()


def _score(text: str | None, kind: str) -> Interval | None:
    document: Any = {} if text is None else json.loads(text).get(kind) or {}
    best = (document.get("recommendation") or document).get("best")
    return None if best is None else Interval(**best["score"])
