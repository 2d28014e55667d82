"""One visit to a page in a remote browser, over the Chrome DevTools Protocol.

Source: Chrome DevTools Protocol, domains Target, Page, Network and Runtime (stable).
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Protocol

from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import PermanentError, TransientError
from convergence_cluster.domain.identity import Json

_TEXT_OF_PAGE = "document.body ? document.body.innerText : ''"
_MAX_ERROR_CHARS = 300


class Socket(Protocol):
    """A connection to a browser."""

    async def send_str(self, data: str) -> None:
        """Send one message."""
        ...

    async def receive_str(self) -> str:
        """Return the next message; raises where the connection ended."""
        ...


class _Browser:
    """Calls answered in order, events kept until they are asked for."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._n_calls = 0
        self._events: list[Mapping[str, Any]] = []
        self.session: str | None = None

    async def call(self, method: str, **params: Json) -> Mapping[str, Any]:
        self._n_calls += 1
        number = self._n_calls
        message = {"id": number, "method": method, "params": params}
        await self._socket.send_str(json.dumps(message | ({"sessionId": self.session} if self.session else {})))
        while True:
            answer = await self._next()
            if answer.get("id") == number:
                break
            self._events.append(answer)
        if "error" in answer:
            raise PermanentError(f"the browser refused {method}: {answer['error'].get('message')}")
        return dict(answer.get("result") or {})

    async def event(self, method: str) -> Mapping[str, Any]:
        """Return the first event of a name, waiting for it if it has not come yet."""
        while (found := self.seen(method)) is None:
            self._events.append(await self._next())
        return found

    def seen(self, method: str, **wanted: Json) -> Mapping[str, Any] | None:
        """Return the first event so far with these parameters."""
        events = (event.get("params", {}) for event in self._events if event.get("method") == method)
        return next((e for e in events if all(e.get(name) == value for name, value in wanted.items())), None)

    async def _next(self) -> Mapping[str, Any]:
        message: Mapping[str, Any] = json.loads(await self._socket.receive_str())
        return message


async def visit(socket: Socket, url: str, *, script: str | None, timeout_s: float, clock: Clock) -> Mapping[str, Json]:
    """Load a page and return `{url, status, load_ms, value}`; `value` is the script's, else the page's text.

    Raises:
        PermanentError: the page could not be loaded, or the script raised.
        TransientError: the browser went away, or was not done within `timeout_s` seconds.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await _visit(_Browser(socket), url, script, clock)
    except TimeoutError:
        raise TransientError(f"{url}: the page was not done within {timeout_s:g} s", kind="unknown") from None
    except (ConnectionError, TypeError, ValueError, KeyError) as error:
        raise TransientError(f"{url}: the browser went away: {type(error).__name__}", kind="unknown") from None


async def _visit(browser: _Browser, url: str, script: str | None, clock: Clock) -> Mapping[str, Json]:
    targets = (await browser.call("Target.getTargets"))["targetInfos"]
    page = next((target["targetId"] for target in targets if target["type"] == "page"), None)
    if page is None:
        page = (await browser.call("Target.createTarget", url="about:blank"))["targetId"]
    browser.session = (await browser.call("Target.attachToTarget", targetId=page, flatten=True))["sessionId"]
    await browser.call("Page.enable")
    await browser.call("Network.enable")
    began_s = clock.monotonic_s()
    loader = await browser.call("Page.navigate", url=url)
    if loader.get("errorText"):
        raise PermanentError(f"{url}: the page could not be loaded: {loader['errorText']}")
    await browser.event("Page.loadEventFired")
    load_ms = (clock.monotonic_s() - began_s) * 1000.0
    response = browser.seen("Network.responseReceived", loaderId=loader.get("loaderId"), type="Document") or {}
    told = await browser.call(
        "Runtime.evaluate", expression=script or _TEXT_OF_PAGE, returnByValue=True, awaitPromise=True
    )
    if "exceptionDetails" in told:
        raised = told["exceptionDetails"]
        said = (raised.get("exception") or {}).get("description") or raised.get("text")
        raise PermanentError(f"{url}: the script raised: {str(said)[:_MAX_ERROR_CHARS]}")
    status = (response.get("response") or {}).get("status")
    return {"url": url, "status": status, "load_ms": load_ms, "value": told.get("result", {}).get("value")}
