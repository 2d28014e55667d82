"""The cluster over an encrypted connection with a password, and what a wrong one says."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue

import pytest

from tests.cluster_runs import PATIENT_S, Cluster, cluster
from tests.integration.test_http_tls import CERTIFICATE, KEY
from tests.redis_server import redis_server
from tests.study_runs import Folder, predecessor_study, serving_llm

PASSWORD = "a/password+with:odd@signs"


@contextmanager
def encrypted(port: int, folder: Path) -> Iterator[int]:
    """Answer with TLS on a free port, in front of a server without it."""
    (folder / "server.pem").write_text(CERTIFICATE + KEY)
    (folder / "ca.pem").write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    ports: Queue[int] = Queue()
    ending: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        try:
            await asyncio.gather(pump(reader, back), pump(there, writer))
        finally:
            back.close()
            writer.close()

    async def serve() -> None:
        end = asyncio.Event()
        ending.append((asyncio.get_running_loop(), end))
        server = await asyncio.start_server(relay, "127.0.0.1", 0, ssl=context)
        ports.put(server.sockets[0].getsockname()[1])
        await end.wait()
        server.close()
        await asyncio.sleep(0.1)  # connections that the other side has closed come to their end

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        yield ports.get(timeout=10.0)
    finally:
        loop, end = ending[0]
        loop.call_soon_threadsafe(end.set)
        thread.join(10.0)


def test_a_study_runs_over_tls_with_a_password(tmp_path: Path) -> None:
    quoted = "a%2Fpassword%2Bwith%3Aodd%40signs"
    with (
        redis_server(password=PASSWORD) as broker,
        encrypted(broker.port, tmp_path) as port,
        serving_llm("--landscape", "predecessor", "--latency-ms", "5", "--seed", "3") as server,
    ):
        trust = f"ssl_cert_reqs=required&ssl_ca_certs={tmp_path}/ca.pem"
        url = f"rediss://:{quoted}@127.0.0.1:{port}/0?{trust}"
        environ = {"CONVERGENCE_BROKER_URL": url, "CONVERGENCE_LOG_LEVEL": "info"}
        running = Cluster(folder=Folder(path=tmp_path, environ=environ), broker=broker)
        try:
            running.coordinator()
            running.worker()
            books = running.finish(running.submit(predecessor_study(server) | {"budget": {"calls": 40}}))
        finally:
            running.stop()

        assert books.state == "finished"
        assert len(books.calls) == 40
        assert PASSWORD not in running.logs()
        assert quoted not in running.logs()


@pytest.mark.parametrize("command", ["coordinate", "worker"])
def test_a_wrong_password_is_told_in_one_line_and_not_repeated(tmp_path: Path, command: str) -> None:
    with cluster(tmp_path, lease_s=PATIENT_S) as started, redis_server(password=PASSWORD) as broker:
        url = f"redis://:wrong-password@127.0.0.1:{broker.port}/0"

        done = started.folder.run(command, CONVERGENCE_BROKER_URL=url)

    assert done.code == 1
    assert "Redis refuses" in done.err
    assert "CONVERGENCE_BROKER_URL" in done.err
    assert "Traceback" not in done.err
    assert "wrong-password" not in done.err


@pytest.mark.parametrize("command", ["coordinate", "worker"])
@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:6379", "is not a URL of Redis; expected redis://"),
        ("sentinel://127.0.0.1:26379", "CONVERGENCE_SENTINEL_MASTER"),
        ("", "CONVERGENCE_BROKER_URL"),
    ],
)
def test_a_wrong_url_is_answered_with_right_ones(tmp_path: Path, command: str, url: str, words: str) -> None:
    done = Folder(path=tmp_path).run(command, CONVERGENCE_BROKER_URL=url)

    assert done.code == 1
    assert words in done.err
    assert "Traceback" not in done.err
