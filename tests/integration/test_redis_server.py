"""The Redis server that other tests stand on."""

import pytest
import redis

from tests.redis_server import ONCE, redis_server


def test_a_killed_server_comes_back_on_its_port_and_keeps_what_is_durable() -> None:
    with redis_server(appendonly=True, password="hush", options=("--appendfsync", "always")) as server:
        with server.client() as client:
            client.set("a", "1")

        server.restart()

        with server.client() as client:
            assert client.get("a") == "1"
        with (
            pytest.raises(redis.AuthenticationError),
            redis.Redis(port=server.port, retry=ONCE) as stranger,
        ):
            stranger.get("a")


def test_a_server_without_a_file_comes_back_empty() -> None:
    with redis_server() as server:
        with server.client() as client:
            client.set("a", "1")

        server.stop()
        server.start()

        with server.client() as client:
            assert client.get("a") is None


def test_a_paused_server_answers_nothing_until_it_goes_on() -> None:
    with redis_server() as server, redis.Redis(port=server.port, socket_timeout=0.2, retry=ONCE) as client:
        client.ping()
        server.pause()

        with pytest.raises(redis.TimeoutError):
            client.ping()

        server.resume()
        assert client.ping()
