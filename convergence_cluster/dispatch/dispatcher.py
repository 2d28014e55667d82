"""Between the coordinators of many studies and the workers: who sends next, what came back, what was lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from convergence_cluster.dispatch.coordinator_board import CoordinatorBoard, TaskState
from convergence_cluster.dispatch.fairness import DeficitRoundRobin
from convergence_cluster.dispatch.study_queue import StudyQueue
from convergence_cluster.dispatch.wire import Task, WireError, decode_report
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.identity import StudyId

log = structlog.get_logger()

_MIN_ROOM = 256
"""Calls that may be under way while no worker is known, so that whoever scales on the queue's depth sees them."""
_ROOM_PER_SLOT = 1.5
_REAP_S = 1.0
_SLOTS_S = 1.0
_LINGER_SHARE, _LINGER_MAX_S = 0.3, 0.02
_RESULTS_AT_ONCE = 500
_REREAD_S = 10.0
"""How often results are looked for that a coordinator took and never dropped, fenced off as it was meanwhile."""


class Publisher(Protocol):
    """Puts tasks on a queue."""

    def publish(self, tasks: Sequence[tuple[Task, int]]) -> None:
        """Send tasks, each with its priority; those of a failed call may or may not have arrived."""
        ...

    def present(self) -> set[str]:
        """Return the ids of all tasks that lie in the queue."""
        ...

    def depths(self) -> dict[str, int]:
        """Return how many tasks wait, by the name of their priority, and how many are in workers' hands."""
        ...


@dataclass(kw_only=True)
class Dispatcher:
    """For one thread. Any method may raise `BrokerAway` (call it again later) or `LeaseLost`."""

    board: CoordinatorBoard
    publisher: Publisher
    clock: Clock
    lease_s: float
    waiting_s: float = 15.0
    """A task that nobody has begun for so long is looked for in the queue."""
    queues: dict[StudyId, StudyQueue] = field(default_factory=dict)
    n_workers: int = 0
    n_slots: int = 0
    n_results: int = 0
    n_lost_leases: int = 0
    n_resent: int = 0
    _taken: list[bytes] = field(default_factory=list)
    _over: list[str] = field(default_factory=list)
    _reread_s: float = 0.0
    _unsent: dict[str, tuple[Task, int]] = field(default_factory=dict)
    _turns: dict[int, DeficitRoundRobin] = field(default_factory=dict)
    _reaped_s: float = 0.0
    _reached_s: float | None = None
    """When Redis answered last."""
    _patient_until_s: float = 0.0
    """Workers could not renew their leases while Redis was away; until then they have time to do so."""
    _counted_s: float = -_SLOTS_S
    _is_drained: bool = False

    @property
    def linger_s(self) -> float:
        """How long to let results gather between two rounds: little beside a call, so that rounds are few."""
        means_s = [
            queue.pace.mean_s for queue in self.queues.values() if queue.n_under_way and queue.pace.mean_s is not None
        ]
        return min((_LINGER_MAX_S, *(_LINGER_SHARE * mean_s for mean_s in means_s))) if means_s else 0.0

    def open(self, queue: StudyQueue) -> None:
        """Take up a study with what earlier coordinators sent of it."""
        queue.adopt(self.board.registered(queue.study), self.clock.monotonic_s())
        self.queues[queue.study] = queue

    def receive(self, timeout_s: float, *, again: bool = False) -> int:
        """Sort results into the queues of their studies, waiting up to `timeout_s` for the first; return how many."""
        now_s = self.clock.monotonic_s()
        if now_s - self._reread_s > _REREAD_S:
            self._reread_s, again = now_s, True
        entries = self.board.receive(timeout_s=timeout_s, limit=_RESULTS_AT_ONCE, again=again)
        self._note_reached()
        for entry, text in entries:
            self._taken.append(entry)
            try:
                report = decode_report(text)
            except WireError as error:
                log.warning("result.refused", reason=str(error))
                continue
            self.n_results += len(report.outcomes)
            queue = self.queues.get(report.study)
            if queue is None:
                log.info("result.dropped", study=report.study, task=report.task, calls=len(report.outcomes))
            else:
                queue.deliver(report)
        self._is_drained = len(entries) < _RESULTS_AT_ONCE
        return len(entries)

    def settle(self) -> None:
        """Drop the results taken so far: whatever came of them is durable. Closed queues are left to others."""
        for queue in self.queues.values():
            self._over += queue.finished_tasks()
        if self._taken or self._over:
            self.board.drop(self._taken, tasks=self._over)
        self._taken, self._over = [], []
        for queue in [queue for queue in self.queues.values() if queue.is_closed]:
            if queue.allowance is not None:
                queue.allowance.withdraw(self.board)
            del self.queues[queue.study]

    def send(self) -> int:
        """Send what may be sent, fairly; return how many calls."""
        self._recover()
        self._count_slots()
        room = max(_MIN_ROOM, round(_ROOM_PER_SLOT * self.n_slots)) - sum(q.n_under_way for q in self.queues.values())
        now_s = self.clock.monotonic_s()
        n_calls = 0
        for priority in sorted({queue.priority for queue in self.queues.values()}):
            ready = {study: queue.n_ready for study, queue in self.queues.items() if queue.priority == priority}
            turns = self._turns.setdefault(priority, DeficitRoundRobin())
            for study, n in turns.share(ready, room).items():
                self._register(self.queues[study], self.queues[study].take(n, now_s))
                n_calls += n
                room -= n
        self._publish()
        for queue in self.queues.values():
            if queue.allowance is not None and not queue.is_closed:
                queue.allowance.tend(self.board)
        return n_calls

    def reap(self) -> None:
        """Take back cancelled tasks, and those whose worker or message is gone; now and then, after a `receive`."""
        now_s = self.clock.monotonic_s()
        if now_s - self._reaped_s < _REAP_S or not self._is_drained:
            return
        self._reaped_s = now_s
        for queue in self.queues.values():
            if queue.is_cancelled and queue.tasks:
                for task in self.board.revoke([task for task in queue.tasks if task not in self._unsent]):
                    queue.revoked(task)
        states = self.board.inspect([task for queue in self.queues.values() for task in queue.tasks])
        present = self._present(states, now_s)
        for queue in self.queues.values():
            for task in list(queue.tasks):
                if task in states and task not in self._unsent:
                    self._judge(queue, task, states[task], present, now_s)

    def _register(self, queue: StudyQueue, tasks: list[Task]) -> None:
        self._unsent.update((task.id, (task, queue.priority)) for task in tasks)
        self.board.register(queue.study, queue.digest, tasks, content=queue.content)

    def _publish(self) -> None:
        """Send what is not sent, earlier failures among it; a task that went out twice is begun once."""
        if not self._unsent:
            return
        self.publisher.publish(list(self._unsent.values()))
        now_s = self.clock.monotonic_s()
        for task, _ in self._unsent.values():
            sent = self.queues[task.study].tasks.get(task.id) if task.study in self.queues else None
            if sent is not None:
                sent.is_published, sent.sent_at_s = True, now_s
        self._unsent.clear()

    def _recover(self) -> None:
        """Register tasks that could not be sent before and that the board does not know: Redis was away."""
        if not self._unsent:
            return
        states = self.board.inspect(list(self._unsent))
        for task, _ in list(self._unsent.values()):
            queue = self.queues.get(task.study)
            if queue is None or task.id not in queue.tasks:
                del self._unsent[task.id]
            elif states[task.id].name == "missing":
                self.board.register(queue.study, queue.digest, [task], content=queue.content)

    def _present(self, states: Mapping[str, TaskState], now_s: float) -> set[str] | None:
        """Return what lies in the queue, where some task has waited long enough to ask."""
        for queue in self.queues.values():
            for task, sent in queue.tasks.items():
                if task in states and states[task].name == "waiting" and now_s - sent.sent_at_s > self.waiting_s:
                    return self.publisher.present()
        return None

    def _judge(self, queue: StudyQueue, task: str, found: TaskState, present: set[str] | None, now_s: float) -> None:
        sent, state = queue.tasks[task], found.name
        is_missing = state == "missing" or (
            state == "waiting"
            and present is not None
            and task not in present
            and now_s - sent.sent_at_s > self.waiting_s
        )
        if state == "expired" and now_s >= self._patient_until_s:
            self.n_lost_leases += 1
            log.warning("lease.lost", study=queue.study, task=task, calls=len(sent.calls))
            queue.give_up(task, was_begun=True, n_extra=found.n_extra)
        elif not is_missing:
            sent.missing_since_s = None
        elif sent.missing_since_s is None:
            sent.missing_since_s = now_s
        elif state == "missing" and now_s - sent.missing_since_s > self.lease_s:
            log.warning("task.forgotten", study=queue.study, task=task, calls=len(sent.calls))
            queue.give_up(task, was_begun=True, is_start=False)
        elif state == "waiting" and now_s - sent.missing_since_s > _REAP_S:
            self._resend(queue, task, now_s)

    def _resend(self, queue: StudyQueue, task: str, now_s: float) -> None:
        """Send a task anew whose message the broker lost before anybody began it, unless it has begun just now."""
        if task not in self.board.revoke([task]):
            return
        self.n_resent += 1
        log.warning("task.resent", study=queue.study, task=task)
        if queue.tasks[task].calls:
            self._register(queue, [queue.resend(task, now_s)])
        else:
            del queue.tasks[task]

    def _note_reached(self) -> None:
        now_s = self.clock.monotonic_s()
        if self._reached_s is not None and now_s - self._reached_s > self.lease_s / 3:
            self._patient_until_s = now_s + self.lease_s
        self._reached_s = now_s

    def _count_slots(self) -> None:
        now_s = self.clock.monotonic_s()
        if now_s - self._counted_s >= _SLOTS_S:
            self.n_workers, self.n_slots = self.board.workers()
            self._counted_s = now_s
