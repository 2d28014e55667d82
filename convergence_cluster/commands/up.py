"""`convergence up`: a whole cluster on this machine."""

import argparse
import os
from importlib import import_module
from pathlib import Path

from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.machine.control import BROKER, living_state, place_in, start
from convergence_cluster.machine.place import USER, Place, State, Wanted
from convergence_cluster.settings import Settings, read_settings

_WORKERS = 2
_CONCURRENCY = 64


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--workers", type=int, metavar="N", help=f"worker processes; default {_WORKERS}, or as it is")
    parser.add_argument(
        "--concurrency",
        type=int,
        metavar="N",
        help=f"calls on the wire at once in a worker that starts from now on; default {_CONCURRENCY}",
    )


def run(options: argparse.Namespace) -> int:
    """Start what does not run, and scale the workers; calls of a worker that is one too many finish first."""
    environ = read_environment(Path.cwd(), os.environ)
    settings = read_settings(environ)
    place = place_in(settings.home)
    if environ.get(BROKER):
        raise ConvergenceError(f"{BROKER} names a cluster already; unset it to start one on this machine")
    for package in ("celery", "flower", "redis", "prometheus_client"):
        import_module(package)
    running = living_state(place)
    state = start(
        place,
        _wanted(options, place, is_running=running is not None),
        environ=environ,
        environment=_environment(settings),
        say=print,
    )
    print(_summary(place, state, is_new=running is None))
    return 0


def _wanted(options: argparse.Namespace, place: Place, *, is_running: bool) -> Wanted:
    before = place.wanted() if is_running else None
    n_workers = options.workers if options.workers is not None else (before.n_workers if before else _WORKERS)
    concurrency = options.concurrency or (before.concurrency if before else _CONCURRENCY)
    if n_workers < 0 or concurrency < 1:
        raise ConvergenceError(f"--workers {n_workers} --concurrency {concurrency}: expected at least 0 and at least 1")
    return Wanted(n_workers=n_workers, concurrency=concurrency)


def _environment(settings: Settings) -> dict[str, str]:
    """Return the variables that everybody needs who uses this cluster, from whatever folder."""
    scheme, _, path = settings.database_url.partition("sqlite:///")
    url = f"{scheme}sqlite:///{Path(path).absolute().as_posix()}" if path else settings.database_url
    return {
        "CONVERGENCE_HOME": str(settings.home.absolute()),
        "CONVERGENCE_DATABASE_URL": url,
        "CONVERGENCE_QUEUE": settings.queue,
    }


def _summary(place: Place, state: State, *, is_new: bool) -> str:
    kept = place.kept()
    assert kept is not None
    slots = state.n_workers * state.concurrency
    how = "is up" if is_new else "runs"
    return "\n".join(
        [
            f"the cluster {how}: a coordinator and {_count(state.n_workers)}, {slots} calls at once",
            f"  redis    127.0.0.1:{kept.redis_port}",
            f"  flower   {state.flower_url}   user {USER}   password {kept.flower_password}",
            f"  metrics  {state.metrics_url}",
            f"  files    {place.folder}",
            "",
            "  make submit STUDY=configs/quickstart.yaml    run a study on it",
            "  make workers N=4    make status    make logs    make down",
        ]
    )


def _count(n_workers: int) -> str:
    return f"{n_workers} worker" + ("" if n_workers == 1 else "s")
