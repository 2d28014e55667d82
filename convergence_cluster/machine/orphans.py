"""Processes whose supervisor was killed: ended before others begin in their place."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from convergence_cluster.machine.place import Place, Running
from convergence_cluster.storage.living import process_identity

_GRACE_S = 20.0
_POLL_S = 0.05


def end_orphans(place: Place, *, say: Callable[[str], None]) -> int:
    """End what a killed supervisor left running, and forget it; return how many processes there were."""
    state = place.state()
    if state is None:
        return 0
    orphans = [each for each in state.running if is_alive(each)]
    if orphans:
        say(f"ending what a killed supervisor left: {', '.join(each.name for each in orphans)}")
    others = [each for each in orphans if each.name != "redis"]
    _end(others)
    _end([each for each in orphans if each.name == "redis"])
    place.forget()
    return len(orphans)


def is_alive(running: Running) -> bool:
    """Say whether a process is still the one that was begun."""
    return running.pid is not None and bool(running.identity) and process_identity(running.pid) == running.identity


def _end(orphans: list[Running]) -> None:
    _signal(orphans, signal.SIGTERM)
    ends_s = time.monotonic() + _GRACE_S
    while any(map(is_alive, orphans)) and time.monotonic() < ends_s:
        time.sleep(_POLL_S)
    _signal([each for each in orphans if is_alive(each)], signal.SIGKILL)
    while any(map(is_alive, orphans)):
        time.sleep(_POLL_S)


def _signal(orphans: list[Running], number: signal.Signals) -> None:
    for each in orphans:
        assert each.pid is not None
        with suppress(ProcessLookupError):
            os.kill(each.pid, number)
