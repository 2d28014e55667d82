"""How a sitting ends early: Ctrl-C once drains and saves, twice stops at once; a fault of ours drains too."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.domain.errors import LeaseLost


@contextmanager
def interruptible(coordinator: Coordinator) -> Iterator[None]:
    """Let the first interrupt drain and save, and the second stop at once; nothing finished is lost by either."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_stopping = False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal is_stopping
        if is_stopping:
            raise KeyboardInterrupt
        is_stopping = True
        coordinator.stop()

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def draining(coordinator: Coordinator, timeout_s: float) -> Iterator[None]:
    """When the block fails (a full disk, a closed terminal), write down the calls on the wire, then let it fail."""
    try:
        yield
    except LeaseLost:
        raise
    except Exception:
        with suppress(Exception):  # the first error is the one to tell
            coordinator.drain(timeout_s)
        raise
