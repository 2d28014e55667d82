"""Encrypted connections."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest

from convergence_cluster.bootstrap.providers import build_provider
from convergence_cluster.domain.calls import Answer, Request
from convergence_cluster.domain.calls import TestCase as Case
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import ProviderStopError, SpecError, TransientError
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.providers.http import Endpoint, HttpTransport
from convergence_cluster.providers.replies import Reply
from convergence_cluster.spec.loading import loads

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


@pytest.mark.alone
def test_the_handshake_is_no_part_of_the_latency(tmp_path: Path) -> None:
    replies = exchange(tmp_path, is_trusted=True, n_calls=3)

    assert [reply.status for reply in replies] == [200] * 3
    for reply in replies:
        assert SERVER_S <= reply.latency_s <= 1.1 * SERVER_S


def test_an_unknown_certificate_stops_the_study_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(ProviderStopError, match=r"GET 127\.0\.0\.1/x: .*certificate verify failed"):
        exchange(tmp_path, is_trusted=False)


class Shop:
    """A server that talks to nobody without a certificate of the authority."""

    def __init__(self, folder: Path) -> None:
        (folder / "both.pem").write_text(CERTIFICATE + KEY)
        (folder / "certificate.pem").write_text(CERTIFICATE)
        (folder / "key.pem").write_text(KEY)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(folder / "both.pem")
        self.tls.load_verify_locations(cadata=CERTIFICATE)
        self.tls.verify_mode = ssl.CERT_REQUIRED
        self.folder = folder

    def ask(self, environ: Mapping[str, str], **tls: str) -> Answer:
        async def act() -> Answer:
            text = STUDY.replace("ENDPOINT", "https://${HOST}/x").replace("TLS", json.dumps(tls))
            study = loads(text, directory=self.folder)
            build_provider(study, environ={**environ, "HOST": "127.0.0.1:9"}, clock=SystemClock())
            server = await asyncio.start_server(_answer, "127.0.0.1", 0, ssl=self.tls)
            host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
            provider = build_provider(study, environ={**environ, "HOST": host}, clock=SystemClock())
            case = Case(id=CaseId("one"), input={})
            try:
                return await provider.send(Request(configuration={}, case=case, idempotency_key="s:0:0:0"))
            finally:
                await provider.close()
                server.close()
                await server.wait_closed()

        return asyncio.run(act())


STUDY = """
api: {name: x, endpoint: "ENDPOINT", request: {method: GET}, tls: TLS}
search_space: {parameters: {level: [1, 2]}}
evaluation:
  test_cases: [{input: {prompt: Why?}, expected: x}, {input: {prompt: How?}, expected: y}]
  metrics: {quality: {function: contains}}
"""


@pytest.mark.parametrize(
    "tls",
    [
        {"certificate": "both.pem", "authority": "certificate.pem"},
        {"certificate": "certificate.pem", "key": "key.pem", "authority": "certificate.pem"},
        {"certificate_env": "CLIENT_CERT", "key_env": "CLIENT_KEY", "authority_env": "AUTHORITY"},
        {"certificate": "certificate.pem", "key_env": "KEY_PATH", "authority_env": "AUTHORITY"},
    ],
)
def test_a_client_shows_its_certificate(tmp_path: Path, tls: dict[str, str]) -> None:
    environ = {
        "CLIENT_CERT": CERTIFICATE,
        "CLIENT_KEY": KEY,
        "AUTHORITY": CERTIFICATE,
        "KEY_PATH": str(tmp_path / "key.pem"),
    }

    assert Shop(tmp_path).ask(environ, **tls).status == 200


def test_a_client_without_a_certificate_gets_no_answer(tmp_path: Path) -> None:
    """The server's reason arrives after the handshake, and is lost with the connection."""
    with pytest.raises(TransientError, match="Server disconnected"):
        Shop(tmp_path).ask({}, authority="certificate.pem")


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({"certificate": "nothing.pem"}, "api.tls.certificate: the file can't be read: No such file or directory"),
        ({"certificate": "certificate.pem"}, "api.tls: certificate and key cannot be used"),
        ({"certificate": "certificate.pem", "key": "certificate.pem"}, "api.tls: certificate and key cannot be used"),
        ({"authority": "key.pem"}, "api.tls.authority: not a certificate in PEM"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_one_line(tmp_path: Path, tls: dict[str, str], said: str) -> None:
    with pytest.raises(SpecError, match=said) as caught:
        Shop(tmp_path).ask({}, **tls)

    assert "\n" not in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        ({"key": "key.pem"}, "api.tls.certificate: required beside a key"),
        ({"certificate": "a", "certificate_env": "B"}, "certificate and certificate_env exclude each other"),
        ({"certificate_env": "-----BEGIN CERTIFICATE-----"}, "the name of an environment variable"),
    ],
)
def test_a_section_that_makes_no_sense_is_one_line(tls: dict[str, str], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        loads(STUDY.replace("ENDPOINT", "https://example.com").replace("TLS", json.dumps(tls)))
