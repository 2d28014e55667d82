"""Reads an OpenAPI document from a file or a URL."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import SpecError, TransientError
from convergence_cluster.drafting.openapi import OpenApi
from convergence_cluster.providers.http import Endpoint, HttpTransport
from convergence_cluster.providers.proxies import proxy_of
from convergence_cluster.spec.document import decode, parse

_TIMEOUT_S = 60.0
_GOOD = range(200, 300)


def read_openapi(source: str, *, environ: Mapping[str, str] = os.environ) -> OpenApi:
    """Return the document at a path or an http(s) URL.

    Raises:
        SpecError: it cannot be read, or is no OpenAPI 3.x document.
    """
    is_url = urlsplit(source).scheme in {"http", "https"}
    content = asyncio.run(_fetch(source, environ)) if is_url else _read(Path(source))
    name = urlsplit(source).path.rpartition("/")[2] or source if is_url else Path(source).name
    text = decode(content, name)
    is_json = text.lstrip().startswith("{") and not name.endswith(".json")
    return OpenApi(parse(text, f"{name}.json" if is_json else name).value, name=name, origin=source if is_url else "")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from error


async def _fetch(url: str, environ: Mapping[str, str]) -> bytes:
    transport = HttpTransport(clock=SystemClock(), environ=environ, proxy_url=proxy_of(url, environ))
    try:
        endpoint = Endpoint(url=url, method="GET", timeout_s=_TIMEOUT_S)
        reply = await transport.exchange(
            endpoint, headers={"Accept": "application/json, application/yaml"}, content=None
        )
    except TransientError as error:
        raise SpecError(str(error)) from error
    finally:
        await transport.close()
    if reply.status not in _GOOD:
        to = f" to {reply.headers['location']}: give that address" if "location" in reply.headers else ""
        raise SpecError(f"{reply.where}: HTTP {reply.status}{to}; expected an OpenAPI document")
    return reply.body
