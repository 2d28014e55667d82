"""One database by URL, SQLite (WAL) or PostgreSQL, with foreign errors turned into sentences."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, Executable, Table, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from convergence_cluster.domain.errors import ConvergenceError, StorageError
from convergence_cluster.storage.schema import MIGRATIONS, migrate, refuse_newer, stored_version

_BEGIN = "convergence_begin"
_EXAMPLES = "sqlite:///.convergence/convergence.db or postgresql://USER:PASSWORD@HOST/DATABASE"

_SQLITE_CURES = (
    ("database is locked", "is locked by another process; wait for it, or stop it"),
    ("readonly database", "is read-only; give this user write permission, or name another database"),
    ("database or disk is full", "cannot grow: the disk is full. Nothing was half-written; free some space and resume"),
    ("disk i/o error", "cannot be written: the disk reports an error, or is full. Nothing was half-written"),
    ("unable to open database file", "cannot be opened; check that the folder exists and is writable"),
    ("not a database", "is not an SQLite database; name another file"),
    ("malformed", "is damaged; restore a copy, or name another file"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Database:
    """An open database whose schema is current. Safe to share between threads."""

    engine: Engine
    _reader: Engine
    _writer: Engine

    @property
    def url(self) -> str:
        """The URL with its password; never print it."""
        return self.engine.url.render_as_string(hide_password=False)

    @property
    def name(self) -> str:
        """The URL as it may be shown."""
        return _shown(self.engine.url)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a file and not a server."""
        return self.engine.dialect.name == "sqlite"

    @property
    def placeholder(self) -> str:
        """How the driver marks a parameter in plain SQL."""
        return "?" if self.is_sqlite else "%s"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a connection that sees one state of the database and blocks nobody.

        Raises:
            ConvergenceError: the database cannot be read; the message says why.
        """
        with _translated(self.engine), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give the connection of one transaction: all of it is durable when the block ends, or none of it is.

        On SQLite the write lock is taken at the start, so that what the block reads cannot change before it writes.

        Raises:
            ConvergenceError: nothing was written; the message says why.
        """
        with _translated(self.engine), self._writer.begin() as connection:
            yield connection

    def insert_new(self, table: Table, values: Mapping[str, object]) -> Executable:
        """Return the statement that inserts a row unless one with the same key is there, and answers the row's key."""
        make = sqlite.insert if self.is_sqlite else postgresql.insert
        return make(table).values(**values).on_conflict_do_nothing().returning(*table.primary_key.columns)

    def close(self) -> None:
        """Close every connection. May be called twice."""
        self.engine.dispose()


def open_database(url: str, *, busy_timeout_s: float = 30.0) -> Database:
    """Open a database, creating the file, its folder and the tables where they do not exist.

    `busy_timeout_s`: how long another process may keep this one from writing.

    Raises:
        Conflict: the database was written by a newer release.
        ConvergenceError: the URL is wrong, or the database cannot be reached or written.
    """
    parsed = _parsed(url)
    engine = _engine(parsed, busy_timeout_s)
    database = _database(engine)
    try:
        with database.read() as connection:
            version = stored_version(connection)
        refuse_newer(version)
        if version < len(MIGRATIONS):
            with database.write() as connection:
                migrate(connection)
    except BaseException:
        database.close()
        raise
    return database


def _database(engine: Engine) -> Database:
    if engine.dialect.name == "sqlite":
        return Database(engine=engine, _reader=engine, _writer=engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"}))
    return Database(engine=engine, _reader=engine.execution_options(isolation_level="REPEATABLE READ"), _writer=engine)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConvergenceError(f"This is not a database URL; expected {_EXAMPLES}.") from error
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite_file(parsed)
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
        case other:
            raise ConvergenceError(f"{other!r} is not a database this product knows; expected {_EXAMPLES}.")


def _sqlite_file(url: URL) -> URL:
    if not url.database or url.database == ":memory:":
        raise ConvergenceError(f"An SQLite database needs a file; expected {_EXAMPLES}.")
    path = Path(url.database).absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConvergenceError(f"The folder {path.parent} cannot be created: {error.strerror}.") from error
    return url.set(drivername="sqlite", database=str(path))


def _engine(url: URL, busy_timeout_s: float) -> Engine:
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, connect_args={"timeout": busy_timeout_s})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    try:
        # The ping costs a round trip, and lets a study outlive a restart of the server between two appends.
        arguments = {"connect_timeout": 10, "application_name": "convergence"}
        engine = create_engine(url, connect_args=arguments, pool_pre_ping=True)
    except ImportError as error:
        raise ConvergenceError(
            "PostgreSQL needs its driver; install it with: pip install 'convergence-cluster[postgresql]'"
        ) from error
    event.listen(engine, "connect", partial(_prepare_postgresql, busy_timeout_s))
    return engine


def _prepare_postgresql(busy_timeout_s: float, connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    """Let the server end the session of a process that froze within a transaction, and free what it locked."""
    cursor = connection.cursor()
    cursor.execute(f"SET idle_in_transaction_session_timeout = {round(busy_timeout_s * 1000)}")
    cursor.close()
    connection.commit()


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # we begin transactions, not the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # WAL's default may lose the last commits in a power cut
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
        raise StorageError(_sentence(engine.url, error)) from error


def _sentence(url: URL, error: Exception) -> str:
    reason = str(error.orig if isinstance(error, DBAPIError) else error).strip().splitlines()[0]
    if url.get_backend_name() == "sqlite":
        for symptom, cure in _SQLITE_CURES:
            if symptom in reason.lower():
                return f"The database {url.database} {cure}."
    return f"The database {_shown(url)} refused: {reason}"


def _shown(url: URL) -> str:
    return url.database or "" if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
