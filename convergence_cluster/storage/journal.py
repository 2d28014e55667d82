"""The durable record of one study: events, calls and ledger in single transactions behind a fence."""

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import Connection

from convergence_cluster.domain.calls import CallOutcome
from convergence_cluster.domain.errors import Conflict
from convergence_cluster.domain.identity import Configuration, StudyId
from convergence_cluster.domain.journal import ArmRecord, Asked, CallKey, Event, History, LedgerEntry
from convergence_cluster.storage.database import Database
from convergence_cluster.storage.encoding import (
    CALL_COLUMNS,
    LEDGER_COLUMNS,
    call_row,
    decode_call,
    decode_event,
    decode_ledger,
    dumps,
    encode_event,
    ledger_row,
    parse_all,
)
from convergence_cluster.storage.leases import check_fence
from convergence_cluster.storage.schema import LOCAL_OWNER

_N_AT_ONCE = 5000
"""Rows read and decoded together: enough for speed, few enough for memory."""
_EVENT_COLUMNS = ("study", "seq", "owner", "kind", "body")
_ARM_COLUMNS = ("study", "arm", "owner", "configuration")


class Trials(Protocol):
    """Where arms are shown to other tools."""

    def write(self, connection: Connection, arms: Sequence[ArmRecord]) -> None:
        """Write arms within the caller's transaction, replacing earlier records of the same arms."""
        ...


class StudyJournal:
    """The journal of one study, written by the holder of its lease. For one thread.

    Keeps in memory only each arm's configuration as text, so that a call's row need not repeat it.
    """

    def __init__(
        self,
        database: Database,
        *,
        study: StudyId,
        token: int,
        trials: Trials | None = None,
        owner: str = LOCAL_OWNER,
    ) -> None:
        self._database = database
        self._study = study
        self._token = token
        self._trials = trials
        self._owner = owner
        self._arms: dict[int, tuple[Configuration, str]] | None = None
        self._next_seq = 0
        self._sql = _Statements(database.placeholder)

    def append(
        self,
        *,
        events: Sequence[Event] = (),
        outcomes: Sequence[CallOutcome] = (),
        ledger: Sequence[LedgerEntry] = (),
    ) -> None:
        """Write all of it in one durable transaction. An outcome whose call has one already is ignored.

        Raises:
            LeaseLost: another process has claimed the study since; nothing was written.
            Conflict: an outcome belongs to another study; nothing was written.
            ConvergenceError: the database did not take it; nothing was written.
        """
        if not (events or outcomes or ledger):
            return
        try:
            with self._database.write() as connection:
                check_fence(connection, self._study, self._token)
                self._append(connection, events, outcomes, ledger)
        except BaseException:
            self._arms = None  # what was remembered may not have been written
            raise
        self._next_seq += len(events)

    def read(self) -> History:
        """Return everything that was appended, all three in the order in which they were written."""
        with _collector_paused(), self._database.read() as connection:
            arms = connection.exec_driver_sql(self._sql.read_arms, (self._study,)).all()
            configurations = dict(zip((row[0] for row in arms), parse_all([row[1] for row in arms]), strict=True))
            events = connection.exec_driver_sql(self._sql.read_events, (self._study,)).all()
            ledger = connection.exec_driver_sql(self._sql.read_ledger, (self._study,))
            return History(
                events=tuple(
                    decode_event(row[0], body, configurations)
                    for row, body in zip(events, parse_all([row[1] for row in events]), strict=True)
                ),
                outcomes=self._read_calls(connection, configurations),
                ledger=tuple(map(decode_ledger, ledger)),
            )

    def record_arms(self, arms: Sequence[ArmRecord]) -> None:
        """Write arms as Optuna trials, replacing earlier records of the same arms; without trials, do nothing.

        Raises:
            LeaseLost: another process has claimed the study since; nothing was written.
        """
        if self._trials is None or not arms:
            return
        with self._database.write() as connection:
            check_fence(connection, self._study, self._token)
            self._trials.write(connection, arms)

    def _read_calls(
        self, connection: Connection, configurations: Mapping[int, Configuration]
    ) -> dict[CallKey, CallOutcome]:
        rows = connection.exec_driver_sql(self._sql.read_calls, (self._study,))
        return {
            (row[1], row[2], row[3]): decode_call(row, detail, configurations)
            for some in rows.partitions(_N_AT_ONCE)
            for row, detail in zip(some, parse_all([row[-1] for row in some]), strict=True)
        }

    def _append(
        self,
        connection: Connection,
        events: Sequence[Event],
        outcomes: Sequence[CallOutcome],
        ledger: Sequence[LedgerEntry],
    ) -> None:
        if self._arms is None:
            self._arms = self._load(connection)
        new_arms: list[tuple[object, ...]] = []
        event_rows = [
            (self._study, self._next_seq + n, self._owner, *encode_event(event, self._asked_for(event, new_arms)))
            for n, event in enumerate(events)
        ]
        call_rows = [
            call_row(
                outcome, self._owner, self._own_configuration(outcome.call.arm, outcome.call.configuration, new_arms)
            )
            for outcome in self._of_this_study(outcomes)
        ]
        ledger_rows = [ledger_row(entry, self._study, self._owner) for entry in ledger]
        cursor = connection.connection.cursor()  # the driver's own: SQLAlchemy's costs more than SQLite's work
        for sql, rows in (
            (self._sql.insert_arms, new_arms),
            (self._sql.insert_calls, call_rows),
            (self._sql.insert_ledger, ledger_rows),
            (self._sql.insert_events, event_rows),
        ):
            if len(rows) == 1:
                cursor.execute(sql, rows[0])
            elif rows:
                cursor.executemany(sql, rows)
        cursor.close()

    def _load(self, connection: Connection) -> dict[int, tuple[Configuration, str]]:
        last = connection.exec_driver_sql(self._sql.last_seq, (self._study,)).scalar_one()
        self._next_seq = 0 if last is None else last + 1
        rows = connection.exec_driver_sql(self._sql.read_arms, (self._study,))
        return {arm: ({}, text) for arm, text in rows}

    def _asked_for(self, event: Event, new_arms: list[tuple[object, ...]]) -> str | None:
        if isinstance(event, Asked):
            return self._own_configuration(event.block.arm, event.block.configuration, new_arms)
        return None

    def _own_configuration(
        self, arm: int, configuration: Configuration, new_arms: list[tuple[object, ...]]
    ) -> str | None:
        """Return the configuration as text if it is another than the one stored with the arm, else None."""
        assert self._arms is not None
        known = self._arms.get(arm)
        if known is not None and known[0] is configuration:
            return None
        text = dumps(configuration)
        if known is None:
            new_arms.append((self._study, arm, self._owner, text))
        elif known[1] != text:
            return text
        self._arms[arm] = (configuration, text)
        return None

    def _of_this_study(self, outcomes: Iterable[CallOutcome]) -> Iterable[CallOutcome]:
        for outcome in outcomes:
            if outcome.call.study != self._study:
                raise Conflict(f"A call of study {outcome.call.study} cannot be written to study {self._study}.")
            yield outcome


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep Python from walking through everything read so far again and again: nothing of it is garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Statements:
    """The journal's SQL, written once: compiling it anew for every append would cost more than running it."""

    def __init__(self, placeholder: str) -> None:
        def insert(table: str, columns: Sequence[str], tail: str = "") -> str:
            values = ", ".join([placeholder] * len(columns))
            return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values}){tail}"  # noqa: S608  # names are ours

        def read(table: str, columns: Sequence[str], order: str) -> str:
            return f"SELECT {', '.join(columns)} FROM {table} WHERE study = {placeholder} ORDER BY {order}"  # noqa: S608  # names are ours

        once = " ON CONFLICT (study, arm, case_index, repeat) DO NOTHING"
        self.insert_arms = insert("convergence_arms", _ARM_COLUMNS)
        self.insert_calls = insert("convergence_calls", CALL_COLUMNS, once)
        self.insert_ledger = insert("convergence_ledger", LEDGER_COLUMNS)
        self.insert_events = insert("convergence_events", _EVENT_COLUMNS)
        self.read_arms = read("convergence_arms", ("arm", "configuration"), "arm")
        self.read_events = read("convergence_events", ("kind", "body"), "seq")
        self.read_calls = read("convergence_calls", CALL_COLUMNS, "id")
        self.read_ledger = read("convergence_ledger", LEDGER_COLUMNS, "id")
        self.last_seq = f"SELECT max(seq) FROM convergence_events WHERE study = {placeholder}"  # noqa: S608  # names are ours
