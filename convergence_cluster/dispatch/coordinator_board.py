"""The coordinator's side of the board: tasks registered and looked after, results taken, all behind a fence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import redis

from convergence_cluster.dispatch import scripts
from convergence_cluster.dispatch.connections import Names, reaching
from convergence_cluster.dispatch.wire import Task, decode_keys, encode_keys
from convergence_cluster.domain.journal import CallKey

_GROUP = "coordinator"
_CONSUMER = "leader"
_FIELD = b"r"
_DROPPED_AT_ONCE = 1_000
"""Lua takes some thousands of arguments."""
_STUDY_TTL_S = 7 * 86_400
"""Contents of studies that nobody asked for in a week are dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Registration:
    """A task that an earlier coordinator sent and that is not finished."""

    task: str
    attempt: int
    calls: Mapping[CallKey, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskState:
    """Where a task is."""

    name: str
    """`missing`, `waiting` to be begun, `held`, or `expired`."""
    n_extra: int
    """Attempts beyond its calls' first that its worker took."""


class CoordinatorBoard:
    """For one thread.

    Every method raises `BrokerAway` where Redis does not answer, and those that write `LeaseLost` where a coordinator
    with a newer token has begun.
    """

    def __init__(self, client: redis.Redis, names: Names, *, token: int) -> None:
        self._redis = client
        self._token = token
        self._fence = names.key("fence")
        self._index = names.key("tasks")
        self._tasks = names.key("task:")
        self._studies = names.key("study:")
        self._known = names.key("known:")
        self._results = names.key("results")
        self._workers = (names.key("workers"), names.key("slots"))
        self._allowance = names.key("allowance:")
        self._scripts = {
            name: client.register_script(getattr(scripts, name))
            for name in ("LEAD", "REGISTER", "FORGET", "DROP", "REVOKE", "INSPECT", "SLOTS", "GRANT")
        }

    def lead(self) -> None:
        """Fence off every earlier coordinator, and be ready to take results."""
        self._run("LEAD", [self._fence], [self._token])
        with reaching():
            self._create_group()

    def register(self, study: str, digest: str, tasks: Sequence[Task], *, content: str) -> None:
        """Make tasks ready to be begun, and the study's content ready to be fetched."""
        args: list[str | int] = [self._token, study, digest]
        for task in tasks:
            args += [task.id, task.attempt, encode_keys(task.calls)]
        keys = [self._fence, self._index, self._tasks, self._studies, self._known]
        if not self._run("REGISTER", keys, args):
            with reaching():
                self._redis.set(f"{self._studies}{digest}", content, ex=_STUDY_TTL_S)

    def forget(self, tasks: Sequence[str]) -> None:
        """Drop tasks: who still has one may make no further call of it."""
        if tasks:
            self._run("FORGET", [self._fence, self._index, self._tasks], [self._token, *tasks])

    def revoke(self, tasks: Sequence[str]) -> set[str]:
        """Drop those of the tasks that nobody has begun, and return them."""
        if not tasks:
            return set()
        revoked = self._run("REVOKE", [self._fence, self._index, self._tasks], [self._token, *tasks])
        return {task.decode() for task in revoked}

    def inspect(self, tasks: Sequence[str]) -> dict[str, TaskState]:
        """Return the state of each task."""
        if not tasks:
            return {}
        found = iter(self._run("INSPECT", [self._tasks], tasks))
        return {task: TaskState(name=next(found).decode(), n_extra=int(next(found))) for task in tasks}

    def registered(self, study: str) -> list[Registration]:
        """Return the unfinished tasks of a study that earlier coordinators sent."""
        with reaching():
            ids = [task.decode() for task in cast("set[bytes]", self._redis.smembers(self._index))]
            mine = [task for task in ids if task.rpartition(":")[0] == study]
            pipe = self._redis.pipeline(transaction=False)
            for task in mine:
                pipe.hmget(f"{self._tasks}{task}", "attempt", "calls")
            found = pipe.execute() if mine else []
        return [
            Registration(task=task, attempt=int(attempt), calls=decode_keys(calls.decode()))
            for task, (attempt, calls) in zip(mine, found, strict=True)
            if attempt is not None and calls is not None
        ]

    def receive(self, *, timeout_s: float, limit: int, again: bool = False) -> list[tuple[bytes, bytes]]:
        """Return results as (id, report), waiting for the first; with `again`, those taken before and not dropped."""
        with reaching():
            try:
                found = self._read(timeout_s, limit, again=again)
            except redis.ResponseError as error:
                if "NOGROUP" not in str(error) and "UNBLOCKED" not in str(error):
                    raise
                self._create_group()
                return []
        return [(entry, fields[_FIELD]) for entry, fields in found if fields and _FIELD in fields]

    def drop(self, entries: Sequence[bytes], *, tasks: Sequence[str] = ()) -> None:
        """Drop results that are durable elsewhere, and the tasks that they finished."""
        for first in range(0, len(entries), _DROPPED_AT_ONCE):
            some = [entry.decode() for entry in entries[first : first + _DROPPED_AT_ONCE]]
            self._run("DROP", [self._fence, self._results], [self._token, _GROUP, *some])
        self.forget(tasks)

    def workers(self) -> tuple[int, int]:
        """Return how many workers live, and how many calls they can carry in all."""
        n_workers, n_slots = self._run("SLOTS", list(self._workers), [])
        return int(n_workers), int(n_slots)

    def grant(self, study: str, n_attempts: int, *, usd: float) -> tuple[int, bool]:
        """Change what is set aside for retries by some attempts of at most `usd` each.

        Returns how many are left, and whether there was any such thing before.
        """
        keys = [self._fence, f"{self._allowance}{study}"]
        left, was_there = self._run("GRANT", keys, [self._token, n_attempts, repr(usd)])
        return int(left), bool(was_there)

    def withdraw(self, study: str) -> None:
        """Set nothing aside any more."""
        with reaching():
            self._redis.delete(f"{self._allowance}{study}")

    def _read(self, timeout_s: float, limit: int, *, again: bool) -> list[tuple[bytes, dict[bytes, bytes]]]:
        block_ms = None if again or timeout_s <= 0.0 else max(1, round(timeout_s * 1000))
        found: Any = self._redis.xreadgroup(
            _GROUP, _CONSUMER, {self._results: "0" if again else ">"}, count=limit, block=block_ms
        )
        if isinstance(found, Mapping):  # RESP3
            found = [(name, batches[0] if batches else []) for name, batches in found.items()]
        return [entry for _, entries in found or () for entry in entries]

    def _create_group(self) -> None:
        try:
            self._redis.xgroup_create(self._results, _GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _run(self, name: str, keys: Sequence[str], args: Sequence[str | int]) -> Any:
        with reaching():
            return self._scripts[name](keys=list(keys), args=list(args))
