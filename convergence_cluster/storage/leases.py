"""One writer per study: a lease in the database, with a fencing token that rises at every claim."""

import os
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, select, update

from convergence_cluster.domain.errors import Conflict, LeaseLost
from convergence_cluster.storage.database import Database
from convergence_cluster.storage.living import process_identity
from convergence_cluster.storage.schema import LOCAL_OWNER, leases

# SQLite's write transactions exclude each other; PostgreSQL needs the row lock against a claim in between.
_FENCE_SQLITE = "SELECT token FROM convergence_leases WHERE study = ?"
_FENCE_POSTGRESQL = "SELECT token FROM convergence_leases WHERE study = %s FOR SHARE"


class Leases:
    """Who writes which study."""

    def __init__(self, database: Database, *, owner: str = LOCAL_OWNER) -> None:
        self._database = database
        self._owner = owner

    def claim(self, study: str, holder: str, *, ttl_s: float, now_s: float, takes_over: bool = False) -> int:
        """Become the writer of a study and return the fencing token that proves it.

        A holder on this machine whose process is gone is replaced at once, any other after its lease ran out, or at
        once where the caller `takes_over` by a lease that stands above this one.

        Raises:
            Conflict: another process holds the study.
        """
        with self._database.write() as connection:
            row = self._locked_row(connection, study, now_s)
            if _is_held(row, now_s) and not takes_over:
                since = datetime.fromtimestamp(row.claimed_at_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
                raise Conflict(
                    f"Study {study} is being run by {row.holder} (process {row.pid} on {row.host}) since {since}; "
                    f"wait for it, stop it, or try again in {max(0.0, row.expires_at_s - now_s):.0f} s if it is gone."
                )
            token = int(row.token) + 1
            connection.execute(
                update(leases)
                .where(leases.c.study == study)
                .values(
                    token=token,
                    holder=holder,
                    host=socket.gethostname(),
                    place=_place(),
                    pid=os.getpid(),
                    process=process_identity(os.getpid()),
                    claimed_at_s=now_s,
                    expires_at_s=now_s + ttl_s,
                )
            )
        return token

    def renew(self, study: str, token: int, *, ttl_s: float, now_s: float) -> None:
        """Keep the lease for another `ttl_s`.

        Raises:
            LeaseLost: another process has claimed the study since, or it was released.
        """
        held = (leases.c.study == study, leases.c.token == token, leases.c.holder.is_not(None))
        with self._database.write() as connection:
            n_changed = connection.execute(update(leases).where(*held).values(expires_at_s=now_s + ttl_s)).rowcount
        if n_changed == 0:
            raise LeaseLost

    def release(self, study: str, token: int) -> None:
        """Give the study free, if it is still held. May be called twice."""
        with self._database.write() as connection:
            connection.execute(
                update(leases)
                .where(leases.c.study == study, leases.c.token == token)
                .values(holder=None, expires_at_s=0.0)
            )

    def holder(self, study: str, *, now_s: float) -> str | None:
        """Return who is at work on the study now, or None."""
        with self._database.read() as connection:
            row = connection.execute(select(leases).where(leases.c.study == study)).one_or_none()
        return str(row.holder) if row is not None and _is_held(row, now_s) else None

    def _locked_row(self, connection: Connection, study: str, now_s: float) -> Row[Any]:
        first = {"study": study, "owner": self._owner, "token": 0, "claimed_at_s": now_s, "expires_at_s": 0.0}
        connection.execute(self._database.insert_new(leases, first))
        return connection.execute(select(leases).where(leases.c.study == study).with_for_update()).one()


def check_fence(connection: Connection, study: str, token: int) -> None:
    """Do nothing if `token` is the study's newest, and keep it the newest until this transaction ends.

    Raises:
        LeaseLost: another process has claimed the study since.
    """
    cursor = connection.connection.cursor()
    cursor.execute(_FENCE_SQLITE if connection.dialect.name == "sqlite" else _FENCE_POSTGRESQL, (study,))
    row = cursor.fetchone()
    if row is None or row[0] != token:
        raise LeaseLost


def _is_held(row: Row[Any], now_s: float) -> bool:
    if row.holder is None or row.expires_at_s <= now_s:
        return False
    is_comparable = row.host == socket.gethostname() and row.place == _place()
    return not is_comparable or process_identity(row.pid) == row.process


def _place() -> str:
    """Name what process numbers are relative to: this boot of this kernel and this process namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
