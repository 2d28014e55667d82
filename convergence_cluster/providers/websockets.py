"""Connections to remote browsers. Their URLs come from answers and may hold the key that was taken out of those."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from convergence_cluster.domain.errors import TransientError
from convergence_cluster.providers.cdp import Socket
from convergence_cluster.providers.credentials import REDACTED, Auth

_MAX_MESSAGE_BYTES = 64_000_000


class Websockets:
    """Opens connections; one that cannot be opened says so without its URL, which is a key by itself."""

    def __init__(
        self, auth: Auth, *, environ: Mapping[str, str], tls: ssl.SSLContext | None = None, proxy_url: str | None = None
    ) -> None:
        self._auth = auth
        self._environ = environ
        self._tls = tls
        self._proxy_url = proxy_url

    @asynccontextmanager
    async def connect(self, url: str) -> AsyncIterator[Socket]:
        """Open a connection and close it in the end.

        Raises:
            TransientError: nothing answers there as a browser does.
        """
        key = self._environ.get(self._auth.token_env or "", "").strip()
        url = url.replace(REDACTED, key) if key else url
        async with aiohttp.ClientSession(proxy=self._proxy_url) as session:
            try:
                socket = await session.ws_connect(
                    url, max_msg_size=_MAX_MESSAGE_BYTES, ssl=self._tls or True, autoping=True
                )
            except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as error:
                kind = type(error).__name__
                raise TransientError(f"the session's browser cannot be reached: {kind}", kind="unknown") from None
            async with socket:
                yield socket
