"""A worker's connection to the queue makes its Redis client once, not for every message."""

import pytest
from kombu.transport.redis import Channel, Transport

from convergence_cluster.dispatch.careful_channel import be_careful
from convergence_cluster.dispatch.celery_app import build_app
from tests.redis_server import redis_server


def test_client_lasts_as_long_as_its_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Transport, "Channel", Channel)
    be_careful(print)
    with redis_server() as server, build_app(server.url, queue="trials").connection_for_read() as connection:
        channel = connection.channel()
        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as again:
            assert first is again
            assert first.ping()
        channel._disconnect_pools()
        with channel.conn_or_acquire() as later:
            assert later is not first
            assert later.connection_pool is channel.pool
            assert later.ping()
