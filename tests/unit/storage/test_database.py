"""Opening databases, and what is said when they do not work."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, inspect, text

from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind
from convergence_cluster.domain.errors import Conflict, ConvergenceError
from convergence_cluster.domain.identity import ArmId, StudyId
from convergence_cluster.domain.journal import LedgerEntry
from convergence_cluster.storage.database import Database, open_database
from convergence_cluster.storage.journal import StudyJournal
from convergence_cluster.storage.leases import Leases
from convergence_cluster.storage.schema import MIGRATIONS, metadata, migrate, stored_version
from convergence_cluster.storage.studies import Studies, slug


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{tmp_path}/new/folder/convergence.db", busy_timeout_s=0.05)
    yield opened
    opened.close()


def claimed(database: Database) -> tuple[StudyId, StudyJournal]:
    study = Studies(database).create(name="demo", digest="d", spec_json="{}", now_s=1.0).id
    token = Leases(database).claim(study, "tester", ttl_s=30.0, now_s=100.0)
    return study, StudyJournal(database, study=study, token=token)


def outcomes(study: StudyId, n: int, *, answer: str = "x") -> list[CallOutcome]:
    return [
        CallOutcome(
            call=Call(study=study, arm=ArmId(0), case=case, repeat=0, configuration={"a": 1}),
            kind=OutcomeKind.OK,
            answer=answer,
        )
        for case in range(n)
    ]


def test_a_committed_transaction_is_on_the_disk(database: Database) -> None:
    with database.read() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL: fsync at every commit
        assert connection.execute(text("PRAGMA foreign_keys")).scalar_one() == 1


def test_every_table_is_ours_by_name_and_has_an_owner() -> None:
    for table in metadata.tables.values():
        assert table.name.startswith("convergence_")
        assert "owner" in table.columns


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("convergence.db", "is not a database URL; expected sqlite:///"),
        ("mysql://h/d", "'mysql' is not a database this product knows"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
    ],
)
def test_a_wrong_url_is_answered_with_right_ones(url: str, message: str) -> None:
    with pytest.raises(ConvergenceError, match=message):
        open_database(url)


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")

    with pytest.raises(ConvergenceError, match="file cannot be created"):
        open_database(f"sqlite:///{tmp_path}/file/convergence.db")


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("important notes " * 100, encoding="utf-8")

    with pytest.raises(ConvergenceError, match="is not an SQLite database"):
        open_database(f"sqlite:///{path}")

    assert path.read_text(encoding="utf-8").startswith("important notes")


def test_a_locked_database_is_reported_and_nothing_is_written(database: Database) -> None:
    study, journal = claimed(database)
    with closing(sqlite3.connect(database.name, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(ConvergenceError, match="is locked by another process"):
            journal.append(outcomes=outcomes(study, 1))

    assert journal.read().outcomes == {}


def test_a_reader_is_not_blocked_by_a_writer(database: Database) -> None:
    study, journal = claimed(database)
    journal.append(outcomes=outcomes(study, 2))
    with closing(sqlite3.connect(database.name, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")

        assert Studies(database).get(study).id == study
        assert len(journal.read().outcomes) == 2


def test_a_read_only_database_is_reported(database: Database) -> None:
    study, journal = claimed(database)
    with database.read() as connection:
        connection.execute(text("PRAGMA query_only=ON"))

    with pytest.raises(ConvergenceError, match="is read-only"):
        journal.append(outcomes=outcomes(study, 1))


def test_a_full_disk_is_reported_nothing_is_half_written_and_the_journal_goes_on_after_it(database: Database) -> None:
    study, journal = claimed(database)
    journal.append(outcomes=outcomes(study, 2))
    with database.read() as connection:
        n_pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={n_pages + 2}")

    with pytest.raises(ConvergenceError, match="the disk is full"):
        journal.append(outcomes=outcomes(study, 20, answer="long " * 10_000))
    assert len(journal.read().outcomes) == 2

    with database.read() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=1000000")
    journal.append(outcomes=outcomes(study, 20, answer="long " * 10_000))
    assert len(journal.read().outcomes) == 20


def test_a_database_of_a_newer_release_is_refused(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE convergence_schema SET version = 99"))

    with pytest.raises(Conflict, match="written by a newer release"):
        open_database(f"sqlite:///{database.name}")


def add_colour(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE convergence_studies ADD COLUMN colour TEXT"))


def fail(connection: Connection) -> None:
    add_colour(connection)
    connection.execute(text("no SQL"))


def test_an_older_database_is_brought_up_to_date_once(database: Database) -> None:
    Studies(database).create(name="old", digest="d", spec_json="{}", now_s=1.0)
    for _ in range(2):
        with database.write() as connection:
            migrate(connection, (*MIGRATIONS, add_colour))

    with database.read() as connection:
        assert stored_version(connection) == len(MIGRATIONS) + 1
        assert connection.execute(text("SELECT colour FROM convergence_studies")).all() == [(None,)]


def test_the_ledger_of_an_older_release_is_kept_and_says_from_now_on_what_was_paid_for(database: Database) -> None:
    study, journal = claimed(database)
    entry = LedgerEntry(key=(ArmId(0), 0, 0), n_attempts=1, usd=0.5, kind="settled", at_s=8.0)
    journal.append(ledger=[entry])
    with database.write() as connection:
        for column in ("answered_at_s", "task"):
            connection.execute(text(f"ALTER TABLE convergence_ledger DROP COLUMN {column}"))
        connection.execute(text("UPDATE convergence_schema SET version = 3"))

    with closing(open_database(f"sqlite:///{database.name}")) as upgraded:
        token = Leases(upgraded).claim(study, "tester", ttl_s=30.0, now_s=200.0)
        journal = StudyJournal(upgraded, study=study, token=token)
        newer = replace(entry, answered_at_s=7.0, task="demo:1.1")
        journal.append(ledger=[newer])
        assert list(journal.read().ledger) == [entry, newer]


def test_a_migration_that_fails_changes_nothing(database: Database) -> None:
    with pytest.raises(ConvergenceError), database.write() as connection:
        migrate(connection, (*MIGRATIONS, fail))

    with database.read() as connection:
        assert stored_version(connection) == len(MIGRATIONS)
        assert "colour" not in {column["name"] for column in inspect(connection).get_columns("convergence_studies")}


def test_opening_again_writes_nothing(database: Database) -> None:
    statements: list[str] = []
    again = open_database(f"sqlite:///{database.name}")
    event.listen(again.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    Studies(again).list()

    assert not [statement for statement in statements if not statement.startswith(("SELECT", "BEGIN"))]
    again.close()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Support Bot!", "support-bot"), ("..", "study"), ("a" * 99, "a" * 40), ("Ünï/code", "n-code")],
)
def test_a_study_id_can_stand_in_a_path(name: str, expected: str) -> None:
    assert slug(name) == expected
