"""Answers of earlier calls in one SQLite file, by digest. It may be deleted at any time: nothing but money is lost."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import ConvergenceError

_BUSY_S = 5.0
_KEPT = 0.9
"""What a full store is cut back to, so that it is not cut at every answer."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value BLOB NOT NULL, at_s REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_by_age ON answers (at_s, key, length(value));
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreSize:
    """How much a store holds."""

    n_answers: int
    n_bytes: int
    oldest_at_s: float | None
    """None: it is empty."""


class SqliteAnswers:
    """A store for the processes of one machine. An instance belongs to the thread that made it.

    A write survives the end of the process, not always that of the machine: an answer that is lost is asked for again.
    """

    def __init__(self, path: Path, *, clock: Clock, max_bytes: int | None = None) -> None:
        self._path = path
        self._clock = clock
        self._max_bytes = max_bytes
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.executescript(_SCHEMA)
            self._n_bytes = self.size().n_bytes
        except (OSError, sqlite3.Error) as error:
            raise ConvergenceError(f"{path}: the answers of earlier calls cannot be kept there: {error}") from error

    async def get(self, key: str) -> bytes | None:
        """Return what was put under a key, or None."""
        with _translated(self._path):
            row = self._connection.execute("SELECT value FROM answers WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    async def put(self, key: str, value: bytes) -> None:
        """Keep a value in place of any other under the same key; the oldest ones go where there is no room."""
        if self._max_bytes is not None and self._n_bytes + len(value) > self._max_bytes:
            self._make_room(len(value))
        with _translated(self._path):
            row = (key, value, self._clock.now_s())
            self._connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", row)
        self._n_bytes += len(value)

    async def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def size(self) -> StoreSize:
        """Return how much there is."""
        with _translated(self._path):
            query = "SELECT count(*), coalesce(sum(length(value)), 0), min(at_s) FROM answers"
            n_answers, n_bytes, oldest_at_s = self._connection.execute(query).fetchone()
        return StoreSize(n_answers=n_answers, n_bytes=n_bytes, oldest_at_s=oldest_at_s)

    def prune(self, *, before_s: float | None = None, max_bytes: int | None = None) -> int:
        """Forget what was put before a time, then the oldest ones beyond `max_bytes`; return how many, give back disk.

        Neither: forget everything.
        """
        with _translated(self._path):
            n_before = self.size().n_answers
            if before_s is None and max_bytes is None:
                self._connection.execute("DELETE FROM answers")
            if before_s is not None:
                self._connection.execute("DELETE FROM answers WHERE at_s < ?", (before_s,))
            if max_bytes is not None:
                self._cut(max_bytes)
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            size = self.size()
        self._n_bytes = size.n_bytes
        return n_before - size.n_answers

    def _make_room(self, n_bytes: int) -> None:
        assert self._max_bytes is not None
        with _translated(self._path):
            self._cut(max(0, int(self._max_bytes * _KEPT) - n_bytes))
        self._n_bytes = self.size().n_bytes

    def _cut(self, max_bytes: int) -> None:
        """Delete the oldest answers until no more than `max_bytes` are left."""
        self._connection.execute(
            "DELETE FROM answers WHERE key IN (SELECT key FROM ("
            "SELECT key, sum(length(value)) OVER (ORDER BY at_s DESC, key) AS newer FROM answers) WHERE newer > ?)",
            (max_bytes,),
        )


class _translated:  # noqa: N801 - used as a function
    """Turns SQLite's errors into sentences; a class because it runs twice a call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, sqlite3.Error):
            raise ConvergenceError(f"{self._path}: {error}; it may be deleted, only answers are lost") from error
