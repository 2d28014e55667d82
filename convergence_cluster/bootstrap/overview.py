"""How a cluster is, to whoever reaches its database and its Redis."""

from collections.abc import Mapping
from dataclasses import dataclass

from convergence_cluster.bootstrap.leadership import current_leader
from convergence_cluster.dispatch.celery_app import CeleryPublisher, build_app
from convergence_cluster.dispatch.connections import Names, connect
from convergence_cluster.dispatch.coordinator_board import CoordinatorBoard
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.settings import Settings
from convergence_cluster.storage.database import open_database


@dataclass(frozen=True, kw_only=True, slots=True)
class Overview:
    """One look."""

    leader: str | None
    """Who coordinates; None: nobody does."""
    n_workers: int
    n_slots: int
    """Calls that all of them together can have on the wire."""
    waiting: Mapping[str, int]
    """Tasks in the queue by the name of their priority."""
    n_unacked: int
    """Tasks in workers' hands."""


def look_at_cluster(settings: Settings, *, clock: Clock) -> Overview:
    """Return how the cluster is that the settings name.

    Raises:
        BrokerAway: its Redis does not answer.
        StorageError: its database does not.
    """
    if settings.broker_url is None:
        raise ConvergenceError("CONVERGENCE_BROKER_URL names no cluster")
    database = open_database(settings.database_url)
    try:
        leader = current_leader(database, queue=settings.queue, now_s=clock.now_s())
    finally:
        database.close()
    client = connect(settings.broker_url, sentinel_master=settings.sentinel_master)
    try:
        n_workers, n_slots = CoordinatorBoard(client, Names(queue=settings.queue), token=0).workers()
        app = build_app(settings.broker_url, queue=settings.queue, sentinel_master=settings.sentinel_master)
        depths = CeleryPublisher(app, client, queue=settings.queue).depths()
    finally:
        client.close()
    n_unacked = depths.pop("unacked")
    return Overview(leader=leader, n_workers=n_workers, n_slots=n_slots, waiting=depths, n_unacked=n_unacked)
