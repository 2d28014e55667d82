"""Which of several coordinators decides: a lease in the database, renewed by a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog

from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import Conflict, ConvergenceError, LeaseLost
from convergence_cluster.storage.database import Database
from convergence_cluster.storage.leases import Leases

log = structlog.get_logger()

LEASE_S = 15.0
_RENEWALS_PER_LEASE = 3


def current_leader(database: Database, *, queue: str, now_s: float) -> str | None:
    """Return who coordinates the cluster of a queue, or None where nobody does."""
    return Leases(database).holder(_name(queue), now_s=now_s)


class Leadership:
    """The lease of one coordinator over the cluster of one queue."""

    def __init__(self, database: Database, *, queue: str, holder: str, clock: Clock) -> None:
        self._leases = Leases(database)
        self._name = _name(queue)
        self._holder = holder
        self._clock = clock
        self._until_s = 0.0
        self._is_lost = False

    def try_claim(self) -> int | None:
        """Return the fencing token of a new leadership, or None while another coordinator leads."""
        asked_s = self._clock.monotonic_s()
        try:
            token = self._leases.claim(self._name, self._holder, ttl_s=LEASE_S, now_s=self._clock.now_s())
        except Conflict:
            return None
        self._until_s = asked_s + LEASE_S
        self._is_lost = False
        return token

    def check(self) -> None:
        """Do nothing while this coordinator leads.

        Raises:
            LeaseLost: another one does, or may.
        """
        if self._is_lost or self._clock.monotonic_s() >= self._until_s:
            raise LeaseLost

    @contextmanager
    def kept(self, token: int) -> Iterator[None]:
        """Renew in the background until the block ends, then let another lead."""
        is_over = threading.Event()
        thread = threading.Thread(target=self._renew, args=(token, is_over), name="convergence-leadership", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join(LEASE_S)
            with suppress(ConvergenceError):
                self._leases.release(self._name, token)

    def _renew(self, token: int, is_over: threading.Event) -> None:
        while not is_over.wait(LEASE_S / _RENEWALS_PER_LEASE):
            asked_s = self._clock.monotonic_s()
            try:
                self._leases.renew(self._name, token, ttl_s=LEASE_S, now_s=self._clock.now_s())
            except LeaseLost:
                self._is_lost = True
                return
            except ConvergenceError as error:
                log.warning("leadership.unrenewed", reason=str(error))
            else:
                self._until_s = asked_s + LEASE_S


def _name(queue: str) -> str:
    return f"@coordinator:{queue}"
