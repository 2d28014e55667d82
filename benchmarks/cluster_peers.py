"""What the cluster is compared with: a bare client, Celery with a task a call, Optuna in one process and in several.

Each runs as a process of its own: `python -m benchmarks.cluster_peers METHOD URL N_CALLS N_AT_ONCE [EXTRA]`.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable

import httpx
import httpx_aiohttp
import optuna
from celery import Celery
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend


async def bare(url: str, n_calls: int, n_at_once: int) -> None:
    """Send calls from one asyncio loop, over the transport that the cluster uses."""
    numbers = iter(range(n_calls))
    async with httpx.AsyncClient(transport=httpx_aiohttp.AiohttpTransport(), timeout=30.0) as client:

        async def send() -> None:
            for number in numbers:
                answer = await client.post(url, json={"x": number})
                assert answer.json()["result"] == 1

        await asyncio.gather(*(send() for _ in range(n_at_once)))


def celery_app(broker: str) -> Celery:
    """Return an application whose task makes one call, as its users write it: a client shared by threads."""
    app = Celery("peer", broker=broker, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=4,
        broker_transport_options={"max_connections": 400},
        worker_hijack_root_logger=False,
    )
    client = httpx.Client(timeout=30.0, limits=httpx.Limits(max_connections=200, max_keepalive_connections=200))

    def call(url: str, x: int) -> None:
        assert client.post(url, json={"x": x}).json()["result"] == 1

    app.task(name="peer.call")(call)
    return app


def objective_of(url: str) -> Callable[[optuna.Trial], float]:
    """Return what Optuna's users write: a trial is a call."""
    client = httpx.Client(timeout=30.0, limits=httpx.Limits(max_connections=200, max_keepalive_connections=200))

    def objective(trial: optuna.Trial) -> float:
        x = trial.suggest_int("x", 0, 10_000)
        return float(client.post(url, json={"x": x}).json()["result"])

    return objective


def study_in(storage: str) -> optuna.Study:
    """Return the study in a storage: none named, a journal file (`journal:PATH`), or a database by URL."""
    store = None
    if storage.startswith("journal:"):
        store = JournalStorage(JournalFileBackend(storage.partition(":")[2]))
    elif storage:
        store = RDBStorage(storage)  # type: ignore[assignment]  # the two have no common type
    sampler = optuna.samplers.RandomSampler()
    return optuna.create_study(storage=store, study_name="peer", sampler=sampler, load_if_exists=True)


def optimize(url: str, n_calls: int, n_at_once: int, storage: str) -> None:
    """Run `study.optimize(n_jobs=...)`, alone or beside other processes on one storage; random sampling costs least."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study_in(storage).optimize(objective_of(url), n_trials=n_calls, n_jobs=n_at_once)


def main() -> int:
    """Run one peer."""
    method, url, n_calls, n_at_once, *extra = sys.argv[1:]
    match method:
        case "bare":
            asyncio.run(bare(url, int(n_calls), int(n_at_once)))
        case "optuna":
            optimize(url, int(n_calls), int(n_at_once), extra[0] if extra else "")
        case "celery":
            os.environ["MALLOC_ARENA_MAX"] = "2"
            threading.stack_size(256 * 1024)
            app = celery_app(extra[0])
            options = ["--pool=threads", f"--concurrency={n_at_once}", "--without-gossip", "--without-mingle"]
            app.worker_main(["worker", *options, "--loglevel=ERROR"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
