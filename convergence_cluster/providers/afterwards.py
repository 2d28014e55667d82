"""What is due when a call has ended, however it ended: cancelling, releasing, cleaning up, and its bill."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from convergence_cluster.domain.errors import ConvergenceError, TransientError

log = structlog.get_logger()

MAX_S = 15.0
_N_TRIES = 3


def as_unknown(error: TransientError) -> TransientError:
    """Return a failure of something that was taken on before, so that it may have to be paid for."""
    unknown = TransientError(str(error), retry_after_s=error.retry_after_s, kind="unknown", is_outage=error.is_outage)
    return error if error.kind == "parked" else unknown


async def insist(send: Callable[[], Awaitable[None]], name: str) -> None:
    """Await `send`, which neither a cancellation nor passing failures keep from succeeding; else write it to the log.

    Raises:
        CancelledError: the call was cancelled meanwhile.
    """
    task = asyncio.ensure_future(_repeat(send, name))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


async def _repeat(send: Callable[[], Awaitable[None]], name: str) -> None:
    reason = "no answer in time"
    try:
        async with asyncio.timeout(MAX_S):
            for n_tried in range(1, _N_TRIES + 1):
                try:
                    return await send()
                except TransientError as error:
                    reason = str(error)
                    await asyncio.sleep(error.retry_after_s or 0.5 * n_tried)
    except TimeoutError:
        pass
    except ConvergenceError as error:
        reason = str(error)
    log.warning("cleanup.failed", step=name, reason=reason)
    return None
