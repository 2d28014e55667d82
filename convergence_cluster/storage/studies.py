"""The studies a database holds: created, listed, found again after a crash."""

import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, select, update

from convergence_cluster.domain.errors import Conflict, NotFound
from convergence_cluster.domain.identity import StudyId
from convergence_cluster.storage.database import Database
from convergence_cluster.storage.leases import check_fence
from convergence_cluster.storage.schema import LOCAL_OWNER, answers, ledger, studies

_MAX_NAME = 40
_N_SHOWN = 5


class StudyState(StrEnum):
    """Where a study is in its life."""

    QUEUED = "queued"
    """Submitted to a cluster; its coordinator takes it up."""
    RUNNING = "running"
    """Begun and not ended; whether a process is at work on it now, the lease tells."""
    INTERRUPTED = "interrupted"
    """Stopped by the user or by an error; `convergence resume` goes on."""
    FINISHED = "finished"
    CANCELLED = "cancelled"


_UNFINISHED = (StudyState.QUEUED, StudyState.RUNNING, StudyState.INTERRUPTED)


class Placement(StrEnum):
    """Where a study's coordinator is."""

    HERE = "here"
    """The process that was asked to run it."""
    CLUSTER = "cluster"


class Priority(StrEnum):
    """Which of the studies of a cluster goes first, most urgent first."""

    INTERACTIVE = "interactive"
    NORMAL = "normal"
    BATCH = "batch"
    BACKFILL = "backfill"


@dataclass(frozen=True, kw_only=True, slots=True)
class StudyRecord:
    """A study as the database knows it."""

    id: StudyId
    name: str
    owner: str
    digest: str
    """Of the whole study; a file that was edited has another."""
    spec_json: str
    source_path: str | None
    created_at_s: float
    updated_at_s: float
    state: StudyState
    reason: str | None
    """Why it ended."""
    n_calls: int
    """Calls made, as the cap counts them: each retry and each draw."""
    spent_usd: float
    """What was paid, by the ledger; calls of unknown price count as nothing."""
    n_unpriced: int
    """Ledger entries of unknown price."""
    placement: Placement = Placement.HERE
    priority: Priority = Priority.NORMAL
    request: str | None = None
    """What was asked of the coordinator and not yet done: `cancel`, or None."""


class Studies:
    """The studies of one owner."""

    def __init__(self, database: Database, *, owner: str = LOCAL_OWNER) -> None:
        self._database = database
        self._owner = owner

    def create(
        self,
        *,
        name: str,
        digest: str,
        spec_json: str,
        source_path: str | None = None,
        now_s: float,
        priority: Priority | None = None,
    ) -> StudyRecord:
        """Store a new study under a fresh id such as `quickstart-3f9a`; with a `priority`, queue it for a cluster.

        Raises:
            Conflict: no free id was found.
        """
        values = {
            "owner": self._owner,
            "name": name,
            "digest": digest,
            "spec_json": spec_json,
            "source_path": source_path,
            "state": (StudyState.RUNNING if priority is None else StudyState.QUEUED).value,
            "created_at_s": now_s,
            "updated_at_s": now_s,
            "placement": (Placement.HERE if priority is None else Placement.CLUSTER).value,
            "priority": (priority or Priority.NORMAL).value,
        }
        for n_bytes in (2, 2, 4, 8):
            study = StudyId(f"{slug(name)}-{secrets.token_hex(n_bytes)}")
            with self._database.write() as connection:
                stored = connection.execute(self._database.insert_new(studies, {"id": study, **values})).first()
            if stored is not None:
                return self.get(study)
        raise Conflict(f"No free id was found for a study called {name!r}; give it another name.")

    def get(self, study: str) -> StudyRecord:
        """Return one study.

        Raises:
            NotFound: there is no such study; the message names the newest ones.
        """
        with self._database.read() as connection:
            row = connection.execute(self._query().where(studies.c.id == study)).one_or_none()
        if row is None:
            known = ", ".join(record.id for record in self.list(limit=_N_SHOWN)) or "none yet"
            raise NotFound(f"There is no study {study!r} in {self._database.name}; the newest ones: {known}.")
        return self._record(row)

    def list(self, *, limit: int = 100) -> tuple[StudyRecord, ...]:
        """Return the newest studies, newest first."""
        query = self._query().order_by(studies.c.created_at_s.desc(), studies.c.id).limit(limit)
        with self._database.read() as connection:
            return tuple(self._record(row) for row in connection.execute(query))

    def find_unfinished(self, *, name: str, digest: str, placement: Placement = Placement.HERE) -> StudyRecord | None:
        """Return the newest unfinished study of exactly this file, so that running it again goes on."""
        query = (
            self._query()
            .where(studies.c.name == name, studies.c.digest == digest, studies.c.state.in_(_UNFINISHED))
            .where(studies.c.placement == placement.value)
            .order_by(studies.c.created_at_s.desc(), studies.c.id)
            .limit(1)
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else self._record(row)

    def set_state(
        self, study: str, state: StudyState, *, now_s: float, reason: str | None = None, token: int | None = None
    ) -> None:
        """Note where the study is in its life; with `token`, only as the holder of its lease.

        Raises:
            NotFound: there is no such study.
            LeaseLost: another process has claimed the study since.
        """
        change = (
            update(studies)
            .where(studies.c.id == study, studies.c.owner == self._owner)
            .values(state=state.value, reason=reason, updated_at_s=now_s)
        )
        with self._database.write() as connection:
            if token is not None:
                check_fence(connection, study, token)
            n_changed = connection.execute(change).rowcount
        if n_changed == 0:
            raise NotFound(f"There is no study {study!r} in {self._database.name}.")

    def set_answer(self, study: str, body: str | None) -> None:
        """Keep the answer of an ended study as text, in place of any before; None: there is none any more."""
        with self._database.write() as connection:
            connection.execute(delete(answers).where(answers.c.study == study, answers.c.owner == self._owner))
            if body is not None:
                connection.execute(insert(answers).values(study=study, owner=self._owner, body=body))

    def answer(self, study: str) -> str | None:
        """Return what `set_answer` kept, or None."""
        query = select(answers.c.body).where(answers.c.study == study, answers.c.owner == self._owner)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one_or_none()

    def _query(self) -> Select[Any]:
        booked = ledger.c.study == studies.c.id
        n_calls = select(func.coalesce(func.sum(ledger.c.n_attempts), 0)).where(booked).scalar_subquery()
        paid = booked & (ledger.c.kind != "cached")
        spent = select(func.coalesce(func.sum(ledger.c.usd), 0.0)).where(paid).scalar_subquery()
        n_unpriced = select(func.count()).where(paid, ledger.c.usd.is_(None)).scalar_subquery()
        return select(
            studies, n_calls.label("n_calls"), spent.label("spent_usd"), n_unpriced.label("n_unpriced")
        ).where(studies.c.owner == self._owner)

    @staticmethod
    def _record(row: Row[Any]) -> StudyRecord:
        values: dict[str, Any] = dict(zip(row._fields, row, strict=True))
        return StudyRecord(
            **{
                **values,
                "state": StudyState(values["state"]),
                "placement": Placement(values["placement"]),
                "priority": Priority(values["priority"]),
            }
        )


def slug(name: str) -> str:
    """Return a name as it may stand in a path or a URL: small letters, digits and single dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_MAX_NAME].strip("-") or "study"
