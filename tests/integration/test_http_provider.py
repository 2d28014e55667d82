"""The transport under load: what it records must be the server's time, not ours."""

import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.providers.http import Endpoint, HttpTransport

SERVER_S = 0.05
SERVER = f"""
import asyncio

REPLY = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: 2\\r\\n\\r\\n{{}}"

class Slow(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        asyncio.get_running_loop().call_later({SERVER_S}, self.transport.write, REPLY)

async def main():
    server = await asyncio.get_running_loop().create_server(Slow, "127.0.0.1", 0, backlog=500)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Endpoint]:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Endpoint(url=f"http://127.0.0.1:{int(process.stdout.readline())}/slow")
        process.terminate()


async def latencies_s(endpoint: Endpoint, *, n_workers: int, n_calls: int) -> list[float]:
    transport = HttpTransport(clock=SystemClock(), environ={})

    async def work() -> list[float]:
        replies = [await transport.exchange(endpoint, headers={}, content=b"{}") for _ in range(n_calls)]
        return [reply.latency_s for reply in replies]

    by_worker = await asyncio.gather(*(work() for _ in range(n_workers)))
    await transport.close()
    return [latency_s for latencies in by_worker for latency_s in latencies]


@pytest.mark.parametrize("n_workers", [1, 5, 100])
def test_recorded_latency_is_the_servers_own_within_a_tenth(endpoint: Endpoint, n_workers: int) -> None:
    recorded = asyncio.run(latencies_s(endpoint, n_workers=n_workers, n_calls=10))

    assert SERVER_S <= statistics.median(recorded) <= 1.1 * SERVER_S
    assert len(recorded) == 10 * n_workers


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux stamps what arrives on TCP")
def test_a_busy_event_loop_does_not_make_the_server_look_slow(endpoint: Endpoint) -> None:
    async def hog() -> None:
        while True:
            time.sleep(0.03)  # noqa: ASYNC251 - holding up the loop is the point
            await asyncio.sleep(0)

    async def under_load() -> list[float]:
        hogging = asyncio.create_task(hog())
        recorded = await latencies_s(endpoint, n_workers=10, n_calls=5)
        hogging.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await hogging
        return recorded

    assert statistics.median(asyncio.run(under_load())) <= 1.1 * SERVER_S


def test_one_transport_keeps_400_calls_in_flight(endpoint: Endpoint) -> None:
    recorded = asyncio.run(latencies_s(endpoint, n_workers=400, n_calls=2))

    assert len(recorded) == 800
    assert min(recorded) >= SERVER_S
