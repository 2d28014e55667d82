"""The tables, and the steps by which an older database becomes a current one.

Every name begins with `convergence_`, because Optuna's own tables live in the same database. JSON columns hold
escaped ASCII text, so that any string a model answers, NUL and lone surrogates included, survives both databases.
"""

from collections.abc import Callable

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    inspect,
    select,
    text,
    update,
)

from convergence_cluster.domain.errors import Conflict

metadata = MetaData()

LOCAL_OWNER = "local"
"""Whose rows they are where there is only one user."""

_MIGRATION_LOCK = 7_020_417_001
"""Key of the PostgreSQL advisory lock that lets one process migrate at a time."""


def _owner() -> Column[str]:
    return Column("owner", Text, nullable=False, server_default=LOCAL_OWNER)


def _row_id() -> Column[int]:
    return Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True)


schema_version = Table(
    "convergence_schema",
    metadata,
    Column("version", Integer, nullable=False),
    _owner(),
)

studies = Table(
    "convergence_studies",
    metadata,
    Column("id", Text, primary_key=True),
    _owner(),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("spec_json", Text, nullable=False),
    Column("source_path", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("created_at_s", Double, nullable=False),
    Column("updated_at_s", Double, nullable=False),
    Column("placement", Text, nullable=False, server_default="here"),
    Column("priority", Text, nullable=False, server_default="normal"),
    Column("request", Text),
    Index("convergence_studies_by_name", "owner", "name"),
)

progress = Table(
    "convergence_progress",
    metadata,
    Column("study", Text, primary_key=True),
    _owner(),
    Column("body", Text, nullable=False),
    Column("at_s", Double, nullable=False),
)

answers = Table(
    "convergence_answers",
    metadata,
    Column("study", Text, primary_key=True),
    _owner(),
    Column("body", Text, nullable=False),
)

leases = Table(
    "convergence_leases",
    metadata,
    Column("study", Text, primary_key=True),
    _owner(),
    Column("token", BigInteger, nullable=False),
    Column("holder", Text),
    Column("host", Text),
    Column("place", Text),
    Column("pid", Integer),
    Column("process", Text),
    Column("claimed_at_s", Double, nullable=False),
    Column("expires_at_s", Double, nullable=False),
)

arms = Table(
    "convergence_arms",
    metadata,
    Column("study", Text, primary_key=True),
    Column("arm", Integer, primary_key=True, autoincrement=False),
    _owner(),
    Column("configuration", Text, nullable=False),
)

events = Table(
    "convergence_events",
    metadata,
    Column("study", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _owner(),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
)

calls = Table(
    "convergence_calls",
    metadata,
    _row_id(),
    _owner(),
    Column("study", Text, nullable=False),
    Column("arm", Integer, nullable=False),
    Column("case_index", Integer, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("latency_s", Double),
    Column("cost_usd", Double),
    Column("n_attempts", SmallInteger, nullable=False),
    Column("finished_at_s", Double, nullable=False),
    Column("detail", Text, nullable=False),
    UniqueConstraint("study", "arm", "case_index", "repeat", name="convergence_calls_once"),
)

ledger = Table(
    "convergence_ledger",
    metadata,
    _row_id(),
    _owner(),
    Column("study", Text, nullable=False),
    Column("arm", Integer, nullable=False),
    Column("case_index", Integer, nullable=False),
    Column("repeat", Integer, nullable=False),
    Column("n_attempts", Integer, nullable=False),
    Column("usd", Double),
    Column("kind", Text, nullable=False),
    Column("price_source", Text),
    Column("at_s", Double, nullable=False),
    Column("answered_at_s", Double),
    Column("task", Text),
    Index("convergence_ledger_by_study", "study"),
)

families = Table(
    "convergence_families",
    metadata,
    Column("owner", Text, primary_key=True, server_default=LOCAL_OWNER),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("metrics", Text, nullable=False),
)

legacy_studies = Table(
    "convergence_legacy_studies",
    metadata,
    Column("owner", Text, primary_key=True, server_default=LOCAL_OWNER),
    Column("id", Text, primary_key=True),
    Column("family", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("parameters", Text, nullable=False),
    Column("policy", Text, nullable=False),
    Column("n_calls", Integer, nullable=False),
    Column("finished_at_s", Double, nullable=False),
    Index("convergence_legacy_studies_by_family", "owner", "family", "finished_at_s"),
)

legacy_arms = Table(
    "convergence_legacy_arms",
    metadata,
    _row_id(),
    _owner(),
    Column("study", Text, nullable=False),
    Column("configuration", Text, nullable=False),
    Column("score", Double, nullable=False),
    Column("n_calls", Integer, nullable=False),
    Column("metrics", Text, nullable=False),
    Column("cases", Text, nullable=False),
    Column("deviation", Double),
    Index("convergence_legacy_arms_by_study", "owner", "study"),
)


def _create_all(connection: Connection) -> None:
    metadata.create_all(connection)


def _add_placement(connection: Connection) -> None:
    """Let studies run on a cluster: where, how urgently, what was asked of them, and how far they are."""
    for name, declaration in (
        ("placement", "TEXT NOT NULL DEFAULT 'here'"),
        ("priority", "TEXT NOT NULL DEFAULT 'normal'"),
        ("request", "TEXT"),
    ):
        _add_column(connection, studies, name, declaration)
    metadata.create_all(connection)


def _add_deviation(connection: Connection) -> None:
    """Let a legacy say how uncertain its scores were."""
    _add_column(connection, legacy_arms, "deviation", "DOUBLE PRECISION")


def _add_answered_at_s(connection: Connection) -> None:
    """Let the ledger say which answer was paid for, so that none is paid for twice."""
    _add_column(connection, ledger, "answered_at_s", "DOUBLE PRECISION")


def _add_task(connection: Connection) -> None:
    """Let the ledger say which attempts were given up, so that none is booked twice and each can be taken back."""
    _add_column(connection, ledger, "task", "TEXT")


def _add_column(connection: Connection, table: Table, name: str, declaration: str) -> None:
    known = {column["name"] for column in inspect(connection).get_columns(table.name)}
    if name not in known:
        connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {name} {declaration}"))


MIGRATIONS: tuple[Callable[[Connection], None], ...] = (
    _create_all,
    _add_placement,
    _add_deviation,
    _add_answered_at_s,
    _add_task,
)
"""Step k turns a database of version k into one of version k + 1. Append only; never edit a step that was released."""


def stored_version(connection: Connection) -> int:
    """Return the schema version of the database, 0 where it has none of our tables."""
    if not inspect(connection).has_table(schema_version.name):
        return 0
    return int(connection.execute(select(schema_version.c.version)).scalar_one())


def migrate(connection: Connection, steps: tuple[Callable[[Connection], None], ...] = MIGRATIONS) -> None:
    """Bring the database to the version of this code, inside the caller's write transaction.

    Raises:
        Conflict: the database is newer than this code.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    version = stored_version(connection)
    refuse_newer(version, steps)
    for step in steps[version:]:
        step(connection)
    if version == 0:
        connection.execute(schema_version.insert().values(version=len(steps)))
    elif version < len(steps):
        connection.execute(update(schema_version).values(version=len(steps)))


def refuse_newer(version: int, steps: tuple[Callable[[Connection], None], ...] = MIGRATIONS) -> None:
    """Do nothing unless the database was written by a newer release.

    Raises:
        Conflict: it was.
    """
    if version > len(steps):
        raise Conflict(
            f"The database has schema version {version} and this release knows versions up to {len(steps)}: "
            "it was written by a newer release. Upgrade convergence-cluster, or name another database."
        )
