"""Messages that come too often, or that nobody of ours sent: executed once, or refused and remembered as dead.

Invariant I for the first; for the others: nothing is executed, and a study ends as if they were not there.
"""

import json
import pickle
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

from convergence_cluster.dispatch.celery_app import ARGUMENT, TASK_NAME, build_app
from tests.cluster_faults import Toll, check, exhaustive, wait_for_calls
from tests.cluster_runs import QUEUE, Cluster, wait_for_workers
from tests.sabotage import deliver_thrice
from tests.study_runs import wait_until

OK_TASK = {
    "v": 1,
    "task": "study-0001:1.1",
    "study": "study-0001",
    "digest": "d",
    "attempt": 1,
    "arms": {"0": {"model": "sim-small"}},
    "calls": [[0, 0, 0, 0.1, 0.0]],
}


class Bomb:
    """Executes code where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return open, (self.path, "w")


def send(running: Cluster, task: object, *, name: str = TASK_NAME, argument: str = ARGUMENT) -> None:
    app = build_app(running.broker.url, queue=QUEUE)
    with app.connection_for_write() as connection, app.amqp.Producer(connection) as producer:
        app.send_task(name, kwargs={argument: task}, producer=producer, queue=QUEUE, ignore_result=True)


def push(running: Cluster, message: bytes) -> None:
    with running.client() as client:
        client.lpush(QUEUE, message)


def envelope(body: bytes, content_type: str) -> bytes:
    """Return a message as the transport writes it."""
    properties: dict[str, Any] = {
        "correlation_id": "1",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": QUEUE},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "1",
    }
    headers = {"lang": "py", "task": TASK_NAME, "id": "1", "argsrepr": "", "kwargsrepr": ""}
    return json.dumps(
        {
            "body": b64encode(body).decode(),
            "content-encoding": "binary",
            "content-type": content_type,
            "headers": headers,
            "properties": properties,
        }
    ).encode()


def test_tasks_and_reports_that_come_three_times_in_any_order_count_once(running: Cluster, toll: Toll) -> None:
    running.coordinator(before=partial(deliver_thrice, 1))
    for n in range(2):
        running.worker(before=partial(deliver_thrice, 2 + n))
    study = running.submit(exhaustive(toll.server))
    toll.strike(affected=0)

    books = running.finish(study)

    check(toll, books)
    assert [entry for entry in books.ledger if entry["kind"] != "settled"] == []


REFUSED: Mapping[str, Callable[[Cluster], None]] = {
    "a newer version": lambda running: send(running, OK_TASK | {"v": 2}),
    "an older version": lambda running: send(running, OK_TASK | {"v": 0}),
    "a forged study": lambda running: send(running, OK_TASK | {"study": "other-0002"}),
    "a study nobody submitted": lambda running: send(running, OK_TASK),
    "an oversized message": lambda running: send(running, OK_TASK | {"digest": "x" * 2_000_000}),
    "no object": lambda running: send(running, ["rm", "-rf"]),
    "other arguments": lambda running: send(running, OK_TASK, argument="command"),
    "another task": lambda running: send(running, OK_TASK, name="os.system"),
    "a body that is no JSON": lambda running: push(running, envelope(b"{not json", "application/json")),
    "a message that is no JSON": lambda running: push(running, b"\x00 not json"),
    "JSON that is no message": lambda running: push(running, b"[1, 2]"),
    "a message without properties": lambda running: push(running, b'{"body": "e30="}'),
}


def test_messages_that_are_not_ours_are_refused_and_remembered_and_nothing_is_executed(
    running: Cluster, toll: Toll, tmp_path: Any
) -> None:
    running.coordinator()
    running.worker()
    wait_for_workers(running, 1)
    exploded = tmp_path / "exploded"
    bomb = pickle.dumps(Bomb(str(exploded)))
    cases: Mapping[str, Callable[[Cluster], None]] = {
        **REFUSED,
        "a pickle": lambda _: push(running, envelope(bomb, "application/x-python-serialize")),
    }

    for n, (what, bring) in enumerate(cases.items(), start=1):
        bring(running)
        try:
            wait_until(lambda: len(running.dead_letters()) >= n, timeout_s=10)  # noqa: B023 - used at once
        except TimeoutError:
            pytest.fail(f"{what} is not among the dead letters\n{running.logs()[-3000:]}")
    toll.strike(affected=0)
    assert toll.server.books()["requests"] == 0
    assert not exploded.exists()

    books = running.finish(running.submit(exhaustive(toll.server)))

    check(toll, books)
    assert "-rf" not in "".join(running.dead_letters())


def test_a_coordinator_survives_what_is_neither_a_message_nor_a_report(running: Cluster, toll: Toll) -> None:
    """Garbage lies in the queue while no worker takes it, and comes by the stream of results."""
    coordinator = running.coordinator()
    study = running.submit(exhaustive(toll.server))
    wait_until(running.n_queued)
    with running.client() as client:
        for text in (b"", b"\xff", b"[]", b"{}", b'{"headers": 1}', b"null"):
            client.lpush(f"{QUEUE}--p9", text)
            client.xadd(f"convergence:{QUEUE}:results", {"r": text})
            client.xadd(f"convergence:{QUEUE}:results", {"other": text})
        client.set("unrelated", "1")
    toll.strike(affected=0)
    with running.supervised(running.worker):
        wait_for_calls(running, study, 1)
        books = running.finish(study)

    check(toll, books)
    assert coordinator.is_running
