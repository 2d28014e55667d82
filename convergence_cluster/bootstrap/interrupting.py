"""Ctrl-C: the first drains and saves, the second stops at once."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from convergence_cluster.coordinator.coordinating import Coordinator


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
