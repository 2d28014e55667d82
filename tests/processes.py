"""Processes that tests start and end hard: killed, frozen, told to stop, whole groups of them."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

_KILLS = 10


@dataclass(frozen=True, kw_only=True)
class Child:
    """A process that leads a group of its own, forked or started anew."""

    pid: int
    kind: str
    """What it is, for whoever picks one."""
    _poll: Callable[[], int | None]
    _wait: Callable[[float], int | None]

    @property
    def is_running(self) -> bool:
        """Say whether it has not ended."""
        return self._poll() is None

    @property
    def is_frozen(self) -> bool:
        """Say whether it is stopped."""
        stat = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[0] == "T"

    def kill(self) -> None:
        """End it and all of its group as a crash would, and wait for it."""
        for _ in range(_KILLS):  # one may miss a process that is only just beginning
            self.send_signal(signal.SIGKILL)
            with suppress(TimeoutError):
                self.wait(2)
                return
        self.wait(20)

    def pause(self) -> None:
        """Freeze it: its connections stay open, nothing is answered."""
        self.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end in order."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Send a signal to all of its group, if it is still there."""
        if self.is_running:
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:  # it has only just begun, and leads no group yet; or it has ended
                with suppress(ProcessLookupError):
                    os.kill(self.pid, number)

    def wait(self, timeout_s: float) -> int:
        """Return its exit code when it has ended.

        Raises:
            TimeoutError: it has not within `timeout_s` seconds.
        """
        code = self._wait(timeout_s)
        if code is None:
            raise TimeoutError(f"process {self.pid} did not end within {timeout_s:g} s")
        return code


def forked(process: BaseProcess, kind: str) -> Child:
    """Return a process of `multiprocessing` as a child."""
    assert process.pid is not None

    def wait(timeout_s: float) -> int | None:
        process.join(timeout_s)
        return process.exitcode

    return Child(pid=process.pid, kind=kind, _poll=lambda: process.exitcode, _wait=wait)
