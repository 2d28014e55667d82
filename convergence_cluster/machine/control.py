"""What a command does with a cluster on this machine: find it, start it, scale it, end it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.machine.crew import redis_binary
from convergence_cluster.machine.orphans import end_orphans
from convergence_cluster.machine.place import Place, State, Wanted
from convergence_cluster.storage.living import process_identity

BROKER = "CONVERGENCE_BROKER_URL"
_POLL_S = 0.1
_UP_S = 90.0
_LOG_LINES = 15


def place_in(home: Path) -> Place:
    """Return the folder of the cluster that belongs to a home."""
    return Place(home / "cluster")


def living_state(place: Place) -> State | None:
    """Return the state of a cluster whose supervisor is alive, or None."""
    state = place.state()
    return state if state is not None and process_identity(state.pid) == state.identity else None


def found_environment(environ: Mapping[str, str], home: Path) -> Mapping[str, str]:
    """Return an environment completed by where the cluster on this machine is, unless it names a broker itself.

    Raises:
        ConvergenceError: a cluster was started here, and its supervisor is gone.
    """
    place = place_in(home)
    state = None if BROKER in environ else place.state()
    if state is None:
        return environ
    if living_state(place) is None:
        raise ConvergenceError(
            f"the cluster in {place.folder} does not run any more, and was not ended; start it again with "
            "`make up`, or end it with `make down`, and studies run here"
        )
    return {**environ, **state.environment}


def start(
    place: Place,
    wanted: Wanted,
    *,
    environ: Mapping[str, str],
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> State:
    """Start a cluster, or scale the one that runs; return once everything is ready.

    Raises:
        ConvergenceError: something does not start.
    """
    redis_binary()
    place.make()
    place.want(wanted)
    if living_state(place) is None:
        end_orphans(place, say=say)
        _keep_old_logs(place)
        supervisor = _spawn(place, environ, environment)
    else:
        supervisor = None
    return _wait_until_ready(place, wanted, supervisor)


def end(place: Place, *, is_now: bool, say: Callable[[str], None]) -> bool:
    """End a cluster and wait until it has ended; return whether there was one."""
    state = living_state(place)
    if state is None:
        return end_orphans(place, say=say) > 0
    os.kill(state.pid, signal.SIGTERM)
    if is_now:
        os.kill(state.pid, signal.SIGTERM)
    alive = _names_alive(state)
    say(f"ending {', '.join(alive)}; calls on the wire finish first")
    while process_identity(state.pid) == state.identity:
        now = place.state()
        left = alive if now is None else _names_alive(now)
        for name in alive:
            if name not in left:
                say(f"  {name} has ended")
        alive = left
        time.sleep(_POLL_S)
    return True


def _names_alive(state: State) -> list[str]:
    return [each.name for each in state.running if each.pid is not None]


def _spawn(place: Place, environ: Mapping[str, str], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    with place.log("supervisor").open("ab") as out:
        return subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "convergence_cluster.machine.supervising", str(place.folder), *environment],
            env={**environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )


def _wait_until_ready(place: Place, wanted: Wanted, supervisor: "subprocess.Popen[bytes] | None") -> State:
    ends_s = time.monotonic() + _UP_S
    while time.monotonic() < ends_s:
        state = living_state(place)
        if state is not None and _is_ready(state, wanted):
            return state
        failed = [each.name for each in state.running if each.is_failed] if state is not None else []
        if failed:
            raise ConvergenceError(f"{failed[0]} dies again and again; the last it wrote:\n{_tail(place, failed[0])}")
        if supervisor is not None and supervisor.poll() is not None:
            raise ConvergenceError(f"the cluster did not start; the last it wrote:\n{_tail(place, 'supervisor')}")
        time.sleep(_POLL_S)
    raise ConvergenceError(f"the cluster is not ready after {_UP_S:.0f} s; see {place.folder}/*.log")


def _is_ready(state: State, wanted: Wanted) -> bool:
    workers = [each for each in state.running if each.name.startswith("worker-")]
    is_scaled = state.n_workers == wanted.n_workers and len(workers) == wanted.n_workers
    return is_scaled and all(each.is_ready for each in state.running)


def _tail(place: Place, name: str) -> str:
    with suppress(OSError):
        lines = place.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])
    return "nothing"


def _keep_old_logs(place: Place) -> None:
    for path in place.folder.glob("*.log"):
        path.replace(path.with_suffix(".log.old"))
