"""The Celery application that coordinator, workers and Flower share, and how tasks are put on its queue.

Celery only carries work to free hands: retry, redelivery, pace and fairness are the coordinator's, results return by a
stream of our own. Source of the settings: measurements of Celery 5.7 on Redis; each says what happens otherwise.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import kombu.exceptions
import redis
from celery import Celery
from kombu.entity import Queue

from convergence_cluster.dispatch.connections import BrokerAway, reaching
from convergence_cluster.dispatch.wire import Task, encode_task

TASK_NAME: Final = "convergence.run_calls"
ARGUMENT: Final = "task"
PRIORITIES: Final[Mapping[str, int]] = {"interactive": 0, "normal": 3, "batch": 6, "backfill": 9}
"""0 goes first on Redis. Each has a list of its own: `QUEUE`, `QUEUE--p3`, `QUEUE--p6`, `QUEUE--p9`."""
_SEPARATOR: Final = "--p"
VISIBILITY_S: Final = 1800
"""Longer than any task: the transport would give a running one to another worker, which would refuse it."""

Headers: TypeAlias = Callable[[Task], Mapping[str, str]]
"""What the message of a task carries beside it; nothing that decides anything."""


def list_names(queue: str) -> list[str]:
    """Return the Redis lists that hold a queue's waiting messages, most urgent first."""
    return [queue if step == 0 else f"{queue}{_SEPARATOR}{step}" for step in PRIORITIES.values()]


def unacked_name(queue: str) -> str:
    """Return the Redis hash that holds a queue's messages that workers have and have not finished."""
    return f"{queue}.unacked"


def build_app(broker_url: str, *, queue: str, concurrency: int = 64, sentinel_master: str | None = None) -> Celery:
    """Return the application; nothing is connected yet."""
    app = Celery("convergence", broker=broker_url, set_as_current=False)
    app.conf.update(
        task_queues=[Queue(queue, routing_key=queue)],  # type: ignore[no-untyped-call]  # kombu has no types
        task_default_queue=queue,
        task_create_missing_queues=False,  # a typo in a queue's name fails instead of making a queue nobody reads
        task_serializer="json",
        accept_content=["json"],  # a pickle is refused, and so is never opened
        task_ignore_result=True,
        result_backend=None,
        task_acks_late=True,  # the hash of unacknowledged messages is what is in flight
        task_reject_on_worker_lost=False,  # the coordinator sends anew; rejecting would loop for ever
        task_acks_on_failure=True,
        task_acks_on_timeout=True,
        task_publish_retry=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # no hoarding: the lists stay true for whoever scales by them
        worker_pool="threads",
        worker_concurrency=concurrency,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # a paid call in flight must finish
        worker_enable_remote_control=True,  # Flower asks workers for their queues
        worker_send_task_events=True,
        task_send_sent_event=False,  # producers would become label values without end
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # a worker waits for Redis however long it is away
        broker_pool_limit=32,
        broker_pool_acquire_timeout=5,
        broker_connection_timeout=3,
        broker_transport_options=_transport(queue, concurrency, sentinel_master),
    )
    return app


def connections_for(concurrency: int) -> int:
    """Return how many connections a worker may need; with fewer, acknowledgements are lost."""
    return 2 * concurrency + 32


def _transport(queue: str, concurrency: int, sentinel_master: str | None) -> dict[str, Any]:
    options: dict[str, Any] = {
        "visibility_timeout": VISIBILITY_S,
        "unacked_restore_interval": 10,
        "unacked_restore_throttle": 1,
        "max_connections": connections_for(concurrency),
        "socket_timeout": 10,
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "priority_steps": list(PRIORITIES.values()),
        "sep": _SEPARATOR,
        "queue_order_strategy": "round_robin",
        "unacked_key": unacked_name(queue),
        "unacked_index_key": f"{unacked_name(queue)}_index",
        "unacked_mutex_key": f"{unacked_name(queue)}_mutex",
    }
    return options if sentinel_master is None else {**options, "master_name": sentinel_master}


def _no_headers(task: Task) -> Mapping[str, str]:
    del task
    return {}


class CeleryPublisher:
    """Puts tasks on the queue, and looks at what lies there. For one thread."""

    def __init__(self, app: Celery, client: redis.Redis, *, queue: str, headers: Headers = _no_headers) -> None:
        self._app = app
        self._headers = headers
        self._redis = client
        self._queue = queue

    def publish(self, tasks: Sequence[tuple[Task, int]]) -> None:
        """Send tasks, each with its Celery priority.

        Raises:
            BrokerAway: some of them may not have arrived.
        """
        try:
            with self._app.producer_pool.acquire(block=True, timeout=5) as producer, producer.batch():
                for task, priority in tasks:
                    self._app.send_task(
                        TASK_NAME,
                        kwargs={ARGUMENT: encode_task(task)},
                        task_id=task.id,
                        queue=self._queue,
                        priority=priority,
                        producer=producer,
                        argsrepr=task.summary(),  # all that Flower and logs show of it
                        kwargsrepr="{}",
                        ignore_result=True,
                        headers=dict(self._headers(task)),
                    )
        except (kombu.exceptions.KombuError, redis.RedisError, OSError) as error:
            raise BrokerAway(f"the queue does not answer ({type(error).__name__}: {error})") from error

    def depths(self) -> dict[str, int]:
        """Return how many messages wait, by the name of their priority, and how many are in workers' hands."""
        with reaching():
            pipe = self._redis.pipeline(transaction=False)
            for name in list_names(self._queue):
                pipe.llen(name)
            pipe.hlen(unacked_name(self._queue))
            *waiting, unacked = pipe.execute()
        return {**dict(zip(PRIORITIES, map(int, waiting), strict=True)), "unacked": int(unacked)}

    def present(self) -> set[str]:
        """Return the ids of all tasks that lie in the queue.

        What a worker has taken and not begun is not among them: it begins at once, or it has died.
        """
        with reaching():
            pipe = self._redis.pipeline(transaction=True)
            for name in list_names(self._queue):
                pipe.lrange(name, 0, -1)
            lists: list[Iterable[bytes]] = pipe.execute()
        found = (_task_id(text) for texts in lists for text in texts)
        return {task for task in found if task is not None}


def _task_id(text: bytes) -> str | None:
    """Return the id in a message, or None where it is no message: anybody who reaches the queue can write to it."""
    try:
        return str(json.loads(text)["headers"]["id"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
