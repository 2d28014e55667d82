"""Hands in what a worker process finds out, a few milliseconds' worth at a time, and keeps it while Redis is away."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from convergence_cluster.dispatch.connections import BrokerAway
from convergence_cluster.dispatch.wire import Report, Task
from convergence_cluster.dispatch.worker_board import WorkerBoard
from convergence_cluster.domain.calls import CallOutcome

log = structlog.get_logger()

_LINGER_S = 0.004
"""Waited for more to hand in together; a tenth of the quickest call worth a cluster."""
_AWAY_S = 0.5


@dataclass(kw_only=True, slots=True)
class _Pending:
    task: Task
    outcomes: list[CallOutcome] = field(default_factory=list)
    is_done: bool = False
    handed_in: threading.Event = field(default_factory=threading.Event)


class Reporter:
    """Thread-safe; `serve` runs in a thread of its own."""

    def __init__(self, board: WorkerBoard, *, worker: str) -> None:
        self._board = board
        self._worker = worker
        self._pending: dict[tuple[str, int], _Pending] = {}
        self._news = threading.Condition()
        self._is_stopped = False

    def add(self, task: Task, outcomes: Sequence[CallOutcome]) -> None:
        """Hand in outcomes of a task."""
        with self._news:
            is_first = not self._pending
            self._of(task).outcomes += outcomes
            if is_first:
                self._news.notify()

    def finish(self, task: Task) -> threading.Event:
        """Hand in that no more will come; the event is set when Redis has all of it."""
        with self._news:
            pending = self._of(task)
            pending.is_done = True
            self._news.notify()
        return pending.handed_in

    def serve(self) -> None:
        """Hand in until `stop`, and then what is left, as long as Redis takes it."""
        while True:
            with self._news:
                while not self._pending and not self._is_stopped:
                    self._news.wait()
                is_last = self._is_stopped
            time.sleep(_LINGER_S)
            try:
                self._hand_in()
            except Exception as error:  # without this thread nothing would be handed in any more
                if isinstance(error, BrokerAway):
                    log.warning("broker.away", reason=str(error))
                else:
                    log.exception("reports.broke")
                if is_last:
                    return
                time.sleep(_AWAY_S)
            if is_last and not self._pending:
                return

    def stop(self) -> None:
        """Hand in what is left, and end."""
        with self._news:
            self._is_stopped = True
            self._news.notify_all()

    def _of(self, task: Task) -> _Pending:
        pending = self._pending.get((task.id, task.attempt))
        if pending is None:
            pending = self._pending[task.id, task.attempt] = _Pending(task=task)
        return pending

    def _hand_in(self) -> None:
        with self._news:
            taken, self._pending = self._pending, {}
        reports = [
            Report(
                task=pending.task.id,
                attempt=pending.task.attempt,
                study=pending.task.study,
                worker=self._worker,
                outcomes=tuple(pending.outcomes),
                is_done=pending.is_done,
            )
            for pending in taken.values()
        ]
        try:
            self._board.report(reports)
        except BaseException:
            self._put_back(taken)
            raise
        for pending in taken.values():
            if pending.is_done:
                pending.handed_in.set()

    def _put_back(self, taken: dict[tuple[str, int], _Pending]) -> None:
        """Keep what could not be handed in, before what has come since. Some of it may be there twice: keys tell."""
        with self._news:
            for key, pending in taken.items():
                since = self._pending.get(key)
                if since is not None:
                    pending.outcomes += since.outcomes
                    if since.is_done:
                        pending.is_done, pending.handed_in = True, since.handed_in
                self._pending[key] = pending
