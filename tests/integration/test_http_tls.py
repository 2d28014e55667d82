"""Encrypted connections."""

import asyncio
import ssl
from pathlib import Path

import pytest

from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import ProviderStopError
from convergence_cluster.providers.http import Endpoint, HttpTransport, Reply

SERVER_S = 0.05
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUJ38M7MvfZ6uiPtqqC7KwOUg8w/0wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMjAwNDU1MVoYDzIxMjYxMDI5
MDA0NTUxWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATIXxnQM7ODD2JLB00jBFh1TKY3MMdTbsfYl8TC2bHv8wbq6YzmWg8Z
PHNFnaySWrBm2EjtkNePkMX+HZuE9ifGo28wbTAdBgNVHQ4EFgQUicQvBXF1LAW+
yUcWLskhDknvslQwHwYDVR0jBBgwFoAUicQvBXF1LAW+yUcWLskhDknvslQwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhANsX1I3GMLWQQLo61JSg03YlvC5KvZaCB34xLqN8Uz0IAiEA
z4Cl1T2EHGefnsZcFL7k33IfoWLD7eTVOLrE4s6MRC4=
-----END CERTIFICATE-----
"""
"""For localhost only, valid until 2126."""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgORdNobFT3I4prbY8
qgp+6qMet5BR43hEBpFhDV1dpfehRANCAATIXxnQM7ODD2JLB00jBFh1TKY3MMdT
bsfYl8TC2bHv8wbq6YzmWg8ZPHNFnaySWrBm2EjtkNePkMX+HZuE9ifG
-----END PRIVATE KEY-----
"""
REPLY = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(SERVER_S)
            writer.write(REPLY)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def exchange(folder: Path, *, is_trusted: bool, n_calls: int = 1) -> list[Reply]:
    (folder / "server.pem").write_text(CERTIFICATE + KEY)
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(folder / "server.pem")
    tls = ssl.create_default_context(cadata=CERTIFICATE) if is_trusted else None

    async def act() -> list[Reply]:
        server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=server_tls)
        endpoint = Endpoint(url=f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/x", method="GET")
        transport = HttpTransport(clock=SystemClock(), environ={}, tls=tls)
        try:
            return [await transport.exchange(endpoint, headers={}, content=None) for _ in range(n_calls)]
        finally:
            await transport.close()
            server.close()
            await server.wait_closed()

    return asyncio.run(act())


def test_the_handshake_is_no_part_of_the_latency(tmp_path: Path) -> None:
    replies = exchange(tmp_path, is_trusted=True, n_calls=3)

    assert [reply.status for reply in replies] == [200] * 3
    for reply in replies:
        assert SERVER_S <= reply.latency_s <= 1.1 * SERVER_S


def test_an_unknown_certificate_stops_the_study_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ProviderStopError, match=r"GET 127\.0\.0\.1/x: .*certificate verify failed"):
        exchange(tmp_path, is_trusted=False)
