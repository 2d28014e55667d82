"""The calls of one study on a cluster, as its coordinator sees them: an `Executor` that only holds."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from convergence_cluster.dispatch.allowance import Allowance
from convergence_cluster.dispatch.coordinator_board import Registration
from convergence_cluster.dispatch.pace import Pace
from convergence_cluster.dispatch.wire import Report, Task
from convergence_cluster.domain.calls import Call, CallOutcome, Late, Lost, OutcomeKind
from convergence_cluster.domain.identity import ArmId, StudyId
from convergence_cluster.domain.journal import CallKey

MAX_STARTS = 3
"""A call whose worker died this often is not tried again: it may be what kills them.

Before its last start it is a suspect: suspects go one at a time, so that none is given up for what another does.
"""


@dataclass(kw_only=True, slots=True)
class Sent:
    """A task under way."""

    id: str
    calls: dict[CallKey, Call]
    """Those without an outcome."""
    sent_at_s: float
    n_extra: int = 0
    """Attempts beyond the first of those of its calls that came back."""
    missing_since_s: float | None = None
    """Since when neither the broker nor the board knows it."""
    is_published: bool = False
    is_done: bool = False
    is_adopted: bool = False
    """An earlier coordinator sent it, and may have given it up."""


@dataclass(kw_only=True)
class StudyQueue:
    """For one thread. As many calls are under way as `pace` says; the others wait here, where they cost nothing."""

    study: StudyId
    digest: str
    content: str
    """The study as workers fetch it."""
    pace: Pace
    priority: int
    token: int
    waiting: deque[Call] = field(default_factory=deque)
    tasks: dict[str, Sent] = field(default_factory=dict)
    suspects: deque[Call] = field(default_factory=deque)
    lost: list[Lost] = field(default_factory=list)
    late: list[Late] = field(default_factory=list)
    allowance: Allowance | None = None
    """None: workers make no second attempt."""
    _inbox: list[CallOutcome] = field(default_factory=list)
    _under_way: dict[CallKey, str] = field(default_factory=dict)
    _adopted: dict[CallKey, str] = field(default_factory=dict)
    _starts: Counter[CallKey] = field(default_factory=Counter)
    _heard: set[tuple[CallKey, float | None]] = field(default_factory=set)
    """Outcomes that came, by their call and when they were finished: one that comes again changes nothing."""
    _suspect: CallKey | None = None
    """The one that was sent last."""
    _number: int = 0
    is_cancelled: bool = False
    is_closed: bool = False

    # What the coordinator of the study calls

    def submit(self, calls: Sequence[Call]) -> None:
        """Queue calls; those that an earlier coordinator sent are under way already."""
        for call in calls:
            if self.allowance is not None:
                self.allowance.note(call.reserved_usd)
            task = self._adopted.pop(call.key, None)
            if task is not None and task in self.tasks:
                self.tasks[task].calls[call.key] = call
                self._under_way[call.key] = task
            elif self._starts[call.key] >= MAX_STARTS:
                self._inbox.append(_quarantined(call))
            elif self._starts[call.key] == MAX_STARTS - 1:
                self.suspects.append(call)
            else:
                self.waiting.append(call)

    def collect(self, timeout_s: float) -> Sequence[CallOutcome]:
        """Return what finished since the last time; never waits."""
        del timeout_s
        arrived, self._inbox = self._inbox, []
        return arrived

    def cancel(self) -> None:
        """Return every call not yet sent as SKIPPED; the dispatcher takes back the sent ones that nobody has begun."""
        self.is_cancelled = True
        for calls in (self.waiting, self.suspects):
            self._inbox += [CallOutcome(call=call, kind=OutcomeKind.SKIPPED) for call in calls]
            calls.clear()

    def close(self) -> None:
        """Take part no more. What is under way stays so, for whoever goes on with the study."""
        self.is_closed = True

    # What the dispatcher calls

    @property
    def n_under_way(self) -> int:
        """Count the calls sent and not finished."""
        return len(self._under_way)

    @property
    def n_ready(self) -> int:
        """Count the calls that may be sent now."""
        n_waiting = len(self.waiting) + self._may_send_suspect
        return max(0, min(n_waiting, self.pace.window - len(self._under_way)))

    @property
    def has_news(self) -> bool:
        """Say whether the coordinator of the study should look."""
        return bool(self._inbox or self.lost or self.late)

    def adopt(self, registrations: Sequence[Registration], now_s: float) -> None:
        """Take over what an earlier coordinator sent; before the first `submit`."""
        for registration in registrations:
            sent = Sent(id=registration.task, calls={}, sent_at_s=now_s, is_published=True, is_adopted=True)
            self.tasks[registration.task] = sent
            self._adopted.update(dict.fromkeys(registration.calls, registration.task))

    def carries(self, key: CallKey) -> bool:
        """Say whether a call was sent by an earlier coordinator and is taken over."""
        return key in self._adopted

    def take(self, n: int, now_s: float) -> list[Task]:
        """Turn `n` waiting calls into tasks under way; one that was lost before goes alone."""
        calls = [self._take_suspect()] if n and self._may_send_suspect else []
        calls += [self.waiting.popleft() for _ in range(n - len(calls))]
        size = self.pace.batch_size
        batches: list[list[Call]] = []
        for call in calls:
            is_alone = self._starts[call.key] > 0
            if is_alone or not batches or len(batches[-1]) >= size or self._starts[batches[-1][0].key]:
                batches.append([])
            batches[-1].append(call)
        return [self._send(batch, now_s) for batch in batches]

    @property
    def _may_send_suspect(self) -> bool:
        return bool(self.suspects) and self._suspect not in self._under_way

    def _take_suspect(self) -> Call:
        call = self.suspects.popleft()
        self._suspect = call.key
        return call

    def resend(self, task: str, now_s: float) -> Task:
        """Send the rest of a task anew, under another id: no worker has begun it, and no message of it is left."""
        sent = self.tasks.pop(task)
        return self._send(list(sent.calls.values()), now_s)

    def deliver(self, report: Report) -> None:
        """Sort the outcomes of a report: answers, calls that come back, and what is too late.

        A worker tells of every call, also of those that it did not make: one that is missing at the end was told of in
        a report that Redis has lost, and may have been paid for.
        """
        for outcome in report.outcomes:
            self._deliver(report.task, outcome)
        sent = self.tasks.get(report.task)
        if sent is not None and report.is_done:
            self.give_up(report.task, was_begun=True, is_start=False)

    def give_up(self, task: str, *, was_begun: bool, n_extra: int = 0, is_start: bool = True) -> None:
        """Take back the calls of a task whose worker is gone; they may have been paid for if it `was_begun`.

        `n_extra`: attempts beyond the calls' first that it took, those of calls that came back included.
        `is_start`: the worker may have died of it; not so where Redis has forgotten the task.
        """
        sent = self.tasks[task]
        n_more = max(0, n_extra - sent.n_extra)
        for key, call in list(sent.calls.items()):
            self._starts[key] += was_begun and is_start
            n_attempts = int(was_begun) * call.n_draws + n_more
            self._spend_extra(n_more, call)
            n_more = 0
            most_usd = n_attempts * call.reserved_usd + (call.scoring_usd if n_attempts else 0.0)
            usd = most_usd if most_usd > 0.0 or not n_attempts else None
            self._give_back(sent, Lost(call=call, n_attempts=n_attempts, usd=usd, task=task))
        sent.is_done = True

    def revoked(self, task: str) -> None:
        """Note that nobody has begun a task, and nobody will: the study is cancelled."""
        sent = self.tasks.pop(task)
        for key, call in sent.calls.items():
            del self._under_way[key]
            self._inbox.append(CallOutcome(call=call, kind=OutcomeKind.SKIPPED))

    def finished_tasks(self) -> list[str]:
        """Return the tasks of which nothing more is wanted, once."""
        adopted = set(self._adopted.values())
        over = [sent.id for sent in self.tasks.values() if sent.is_done or not (sent.calls or sent.id in adopted)]
        for task in over:
            del self.tasks[task]
        return over

    def _deliver(self, task: str, outcome: CallOutcome) -> None:
        key = outcome.call.key
        if outcome.is_paid:
            if (key, outcome.finished_at_s) in self._heard:
                return
            self._heard.add((key, outcome.finished_at_s))
        holder = self._under_way.get(key)
        if holder is None or (outcome.kind is OutcomeKind.SKIPPED and holder != task):
            if outcome.is_paid:
                self.late.append(Late(outcome=outcome, task=task, is_accepted=False))
            return
        sent = self.tasks[holder]
        call = sent.calls[key]
        n_extra = max(0, outcome.n_attempts + outcome.n_unsent - call.n_draws)
        sent.n_extra += n_extra
        self._spend_extra(n_extra, call)
        if outcome.kind is OutcomeKind.SKIPPED:
            self._give_back(sent, Lost(call=call, task=task, returned=outcome))
            return
        del sent.calls[key]
        del self._under_way[key]
        accepted = replace(outcome, call=call)
        if task != holder or sent.is_adopted:
            self.late.append(Late(outcome=accepted, task=task, is_accepted=True))
        self._inbox.append(accepted)
        if outcome.latency_s is not None:
            self.pace.learn(outcome.latency_s)

    def _give_back(self, sent: Sent, lost: Lost) -> None:
        del sent.calls[lost.call.key]
        del self._under_way[lost.call.key]
        self.lost.append(lost)

    def _spend_extra(self, n: int, call: Call) -> None:
        if n and self.allowance is not None:
            self.allowance.spend(n, usd=call.reserved_usd)

    def _send(self, calls: list[Call], now_s: float) -> Task:
        self._number += 1
        task = f"{self.study}:{self.token}.{self._number}"
        self.tasks[task] = Sent(id=task, calls={call.key: call for call in calls}, sent_at_s=now_s)
        self._under_way.update(dict.fromkeys((call.key for call in calls), task))
        attempt = 1 + max(self._starts[call.key] for call in calls)
        return Task(id=task, study=self.study, digest=self.digest, attempt=attempt, calls=tuple(calls))


def _quarantined(call: Call) -> CallOutcome:
    return CallOutcome(
        call=replace(call, arm=ArmId(call.arm)),
        kind=OutcomeKind.FAILED,
        cost_usd=0.0,
        error=f"given up: {MAX_STARTS} workers died with this call; look at the evaluator and at the workers' memory",
    )
