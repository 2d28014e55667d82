"""The tasks that this worker process has begun: kept by renewing leases, and given up by itself when it cannot."""

import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

import structlog

from convergence_cluster.dispatch.connections import BrokerAway
from convergence_cluster.dispatch.worker_board import WorkerBoard
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import LeaseLost

log = structlog.get_logger()

_RENEWALS_PER_LEASE = 3


@dataclass(kw_only=True, slots=True)
class Hold:
    """One task begun here."""

    task: str
    owner: str
    valid_until_s: float
    """On this process's monotonic clock; counted from before the lease was asked for, so it ends before the lease."""
    ends_s: float
    """The lease is not renewed after this: whatever takes so long hangs."""
    is_lost: bool = False
    on_hang: Callable[[], None] = field(default=lambda: None)
    """Called when its time is over; what is on the wire of a task lost otherwise still finishes, for it is paid."""


current_hold: ContextVar[Hold | None] = ContextVar("current_hold", default=None)
"""The task to which the running call belongs."""


class Holds:
    """Thread-safe; `serve` runs in a thread of its own."""

    def __init__(self, board: WorkerBoard, *, clock: Clock, lease_s: float, worker: str, n_slots: int) -> None:
        self._board = board
        self._clock = clock
        self._lease_s = lease_s
        self._worker = worker
        self._n_slots = n_slots
        self._holds: dict[str, Hold] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.n_lost = 0

    def add(self, hold: Hold) -> None:
        """Keep a task from now on."""
        with self._lock:
            self._holds[hold.task] = hold

    def remove(self, hold: Hold) -> None:
        """Keep a task no longer."""
        with self._lock:
            self._holds.pop(hold.task, None)

    def __len__(self) -> int:
        """Count the tasks begun here."""
        return len(self._holds)

    def check(self) -> None:
        """Do nothing while the running call's task is ours; asked before anything is paid for.

        Raises:
            LeaseLost: it is not, or that is not known in time.
        """
        hold = current_hold.get()
        if hold is not None and (hold.is_lost or self._clock.monotonic_s() >= hold.valid_until_s):
            raise LeaseLost

    def serve(self) -> None:
        """Renew every third of a lease until `stop`."""
        while True:
            try:
                self._renew()
            except BrokerAway as error:
                log.warning("broker.away", reason=str(error))
            except Exception:  # without this thread the worker would do nothing, and not say why
                log.exception("leases.broke")
            if self._stopped.wait(self._lease_s / _RENEWALS_PER_LEASE):
                return

    def stop(self) -> None:
        """Renew no more."""
        self._stopped.set()

    def _renew(self) -> None:
        asked_s = self._clock.monotonic_s()
        self._board.beat(self._worker, n_slots=self._n_slots)
        with self._lock:
            holds = [hold for hold in self._holds.values() if not hold.is_lost]
        for hold in holds:
            if asked_s >= hold.ends_s:
                self._lose(hold, "it hangs")
                hold.on_hang()
        owned = {hold.task: hold.owner for hold in holds if not hold.is_lost}
        kept = self._board.renew(owned) if owned else set()
        for hold in holds:
            if hold.task in kept:
                hold.valid_until_s = asked_s + self._lease_s
            elif not hold.is_lost and hold.task in self._holds:
                self._lose(hold, "another has it, or it is not wanted any more")

    def _lose(self, hold: Hold, reason: str) -> None:
        hold.is_lost = True
        self.n_lost += 1
        log.warning("lease.lost", task=hold.task, reason=reason)
