"""The worker's side of the board: what is begun, kept alive and reported in Redis."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

import redis

from convergence_cluster.dispatch import scripts
from convergence_cluster.dispatch.connections import Names, reaching
from convergence_cluster.dispatch.wire import Report, Task, encode_report
from convergence_cluster.domain.identity import Json

_US = 1_000_000
_MAX_DEAD = 1_000
"""Refused messages that are remembered."""


class WorkerBoard:
    """Thread-safe. Every method raises `BrokerAway` where Redis does not answer."""

    def __init__(self, client: redis.Redis, names: Names, *, lease_s: float) -> None:
        self._redis = client
        self._lease_us = round(lease_s * _US)
        self._tasks = names.key("task:")
        self._results = names.key("results")
        self._studies = names.key("study:")
        self._known = names.key("known:")
        self._workers = (names.key("workers"), names.key("slots"))
        self._allowance = names.key("allowance:")
        self._dead = names.key("dead")
        self._claim = client.register_script(scripts.CLAIM)
        self._renew = client.register_script(scripts.RENEW)
        self._beat = client.register_script(scripts.BEAT)
        self._take = client.register_script(scripts.TAKE)

    def claim(self, task: Task, owner: str) -> str:
        """Begin a task for the length of a lease: `claimed`; or why it is not to be begun.

        `unknown`: it is over. `stale`, `held`: it was begun. `stranger`: nobody submitted its study here.
        """
        keys = [f"{self._tasks}{task.id}", f"{self._known}{task.study}"]
        with reaching():
            answer = self._claim(keys=keys, args=[task.attempt, owner, self._lease_us])
        return _text(answer)

    def renew(self, owned: Mapping[str, str]) -> set[str]:
        """Keep tasks for another lease, each by its owner; return those that are still theirs."""
        with reaching():
            kept = self._renew(keys=[self._tasks], args=[self._lease_us, *(x for pair in owned.items() for x in pair)])
        return {_text(task) for task in kept}

    def beat(self, worker: str, *, n_slots: int) -> None:
        """Tell that a worker lives, and how many calls it can carry."""
        with reaching():
            self._beat(keys=list(self._workers), args=[worker, self._lease_us, n_slots])

    def leave(self, worker: str) -> None:
        """Tell that a worker has gone."""
        with reaching():
            pipe = self._redis.pipeline(transaction=True)
            pipe.zrem(self._workers[0], worker)
            pipe.hdel(self._workers[1], worker)
            pipe.execute()

    def report(self, reports: Sequence[Report]) -> None:
        """Hand in outcomes; they stay until the coordinator has written them down."""
        with reaching():
            pipe = self._redis.pipeline(transaction=False)
            for report in reports:
                pipe.xadd(self._results, {"r": encode_report(report)})
            pipe.execute()

    def study(self, digest: str) -> str | None:
        """Return the content of a study as JSON text, or None where it is not there."""
        with reaching():
            text = cast("bytes | None", self._redis.get(f"{self._studies}{digest}"))
        return None if text is None else text.decode()

    def take_attempt(self, task: str, owner: str, usd: float) -> bool:
        """Take one attempt of at most `usd` for a task of ours from what the coordinator set aside for retries."""
        study = task.rpartition(":")[0]
        with reaching():
            keys = [f"{self._allowance}{study}", f"{self._tasks}{task}"]
            return bool(self._take(keys=keys, args=[repr(usd), owner]))

    def bury(self, facts: Mapping[str, Json]) -> None:
        """Remember a message that was refused, without its content."""
        with reaching():
            self._redis.xadd(self._dead, {"m": json.dumps(dict(facts))}, maxlen=_MAX_DEAD, approximate=True)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
