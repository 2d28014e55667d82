"""What tests do to a process of the cluster before its program begins, which knows nothing of it.

`running.worker(before=partial(die_at, "before claim", 3))` starts a worker that dies at a step as by kill -9.
"""

import os
import random
import resource
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import kombu.transport.redis
from sqlalchemy import Connection

from convergence_cluster.bootstrap.seat import Seat
from convergence_cluster.dispatch import celery_app, wire
from convergence_cluster.dispatch.celery_app import CeleryPublisher
from convergence_cluster.dispatch.coordinator_board import CoordinatorBoard
from convergence_cluster.dispatch.dispatcher import Dispatcher
from convergence_cluster.dispatch.wire import Report, Task
from convergence_cluster.dispatch.worker_board import WorkerBoard
from convergence_cluster.optimizers import choosing
from convergence_cluster.storage import journal
from convergence_cluster.storage.database import open_database
from convergence_cluster.storage.journal import StudyJournal
from convergence_cluster.storage.leases import check_fence
from convergence_cluster.storage.studies import Studies

_STEPS: Mapping[str, tuple[type, str]] = {
    "commit": (StudyJournal, "append"),
    "registration": (CoordinatorBoard, "register"),
    "publication": (CeleryPublisher, "publish"),
    "read of results": (CoordinatorBoard, "receive"),
    "drop of results": (CoordinatorBoard, "drop"),
    "claim": (WorkerBoard, "claim"),
    "report": (WorkerBoard, "report"),
}
COORDINATOR_POINTS = (
    "before commit",
    "after commit",
    "before registration",
    "before publication",
    "after publication",
    "after read of results",
    "before drop of results",
    "after drop of results",
)
WORKER_POINTS = ("before claim", "after claim", "before report", "after report")


def die_at(point: str, nth: int) -> None:
    """Let this process die as by kill -9 at the `nth` time it comes to a point; steps with no work do not count."""
    when, _, step = point.partition(" ")
    owner, method = _STEPS[step]
    original: Callable[..., Any] = getattr(owner, method)
    n_seen = 0

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        nonlocal n_seen
        if when == "before" and _is_work(args[1:], kwargs):
            n_seen += 1
            _die_if(n_seen >= nth)
        answer = original(*args, **kwargs)
        if when == "after" and (bool(answer) if step == "read of results" else _is_work(args[1:], kwargs)):
            n_seen += 1
            _die_if(n_seen >= nth)
        return answer

    setattr(owner, method, wrapped)


def listen_for(seconds: int) -> None:
    """Let a worker wait so long for a message before it asks anew."""
    kombu.transport.redis.Transport.brpop_timeout = seconds


def look_for_messages_after(seconds: float) -> None:
    """Let a coordinator look for lost messages sooner than it would."""
    defaults = Dispatcher.__init__.__kwdefaults__
    assert defaults is not None
    defaults["waiting_s"] = seconds


def die_before_cancelling() -> None:
    """Let this process die as by kill -9 when it has read that a study is to be cancelled."""

    def die(_seat: Seat) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(Seat, "cancel", die)  # noqa: B010


def dawdle_after_states(seconds: float) -> None:
    """Let this process rest each time that it has written where a study is in its life, so that others read it."""
    original = Studies.set_state

    def set_state(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        time.sleep(seconds)

    setattr(Studies, "set_state", set_state)  # noqa: B010


def _is_work(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    return any(args) or any(kwargs.values())


def _die_if(condition: bool) -> None:  # noqa: FBT001 - private
    if condition:
        os.kill(os.getpid(), signal.SIGKILL)


def redeliver_after(seconds: int) -> None:
    """Let the transport give running tasks to other workers after so many seconds, as a wrong setting would."""
    original = celery_app._transport

    def impatient(*args: Any) -> dict[str, Any]:
        soon = {"visibility_timeout": seconds, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
        return {**original(*args), **soon}

    setattr(celery_app, "_transport", impatient)  # noqa: B010 - mypy forbids the assignment


def deliver_thrice(seed: int) -> None:
    """Let a process send every task, or hand in every report, three times in a random order."""
    order = random.Random(seed)
    publish, report = CeleryPublisher.publish, WorkerBoard.report

    def publish_thrice(publisher: CeleryPublisher, tasks: Sequence[tuple[Task, int]]) -> None:
        publish(publisher, order.sample(list(tasks) * 3, 3 * len(tasks)))

    def report_thrice(board: WorkerBoard, reports: Sequence[Report]) -> None:
        report(board, order.sample(list(reports) * 3, 3 * len(reports)))

    setattr(CeleryPublisher, "publish", publish_thrice)  # noqa: B010
    setattr(WorkerBoard, "report", report_thrice)  # noqa: B010


def limit_files_to(n_bytes: int) -> None:
    """Let no file of this process grow beyond a size, as on a full disk. Another process may raise it again."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, resource.RLIM_INFINITY))


def shift_clock(seconds: float) -> None:
    """Let the wall clock of this process be wrong by so many seconds, where Python reads it."""
    original = time.time

    def shifted() -> float:
        return original() + seconds

    setattr(time, "time", shifted)  # noqa: B010
    setattr(kombu.transport.redis, "time", shifted)  # noqa: B010 - it took its own name for it


def be_of_another_release() -> None:
    """Let this process be of a release that writes tasks in another way."""
    setattr(wire, "VERSION", wire.VERSION + 1)  # noqa: B010 - a constant to everybody else


def decide_otherwise() -> None:
    """Let the search of this process decide otherwise, as that of another processor or release does."""
    setattr(choosing, "WORTH_SHARE", 1.0)  # noqa: B010 - a constant to everybody else


def freeze_within_transaction(nth: int) -> None:
    """Let this process freeze at its `nth` transaction of a study, with what it has locked; others may wait 5 s."""
    be_impatient()
    original, n_seen = check_fence, 0

    def freeze(connection: Connection, study: str, token: int) -> None:
        nonlocal n_seen
        original(connection, study, token)
        n_seen += 1
        if n_seen == nth:
            os.kill(os.getpid(), signal.SIGSTOP)

    setattr(journal, "check_fence", freeze)  # noqa: B010


def be_impatient() -> None:
    """Wait for other processes' transactions for 5 s at most."""
    defaults = open_database.__kwdefaults__
    assert defaults is not None
    defaults["busy_timeout_s"] = 5.0
