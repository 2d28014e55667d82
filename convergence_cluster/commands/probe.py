"""`convergence probe`: is the process beside this one well? For liveness probes."""

import argparse
import os
import time
from pathlib import Path

from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.settings import read_settings

_MAX_AGE_S = 60.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="the heartbeat file; default CONVERGENCE_HEARTBEAT_FILE"
    )
    parser.add_argument("--max-age", type=float, default=_MAX_AGE_S, metavar="S", help="default 60 seconds")


def run(options: argparse.Namespace) -> int:
    """Succeed if the heartbeat file was touched in time. Asks neither Redis nor the database."""
    path = options.file or read_settings(os.environ).heartbeat_path
    if path is None:
        raise ConvergenceError("which file? Name it, or set CONVERGENCE_HEARTBEAT_FILE as for the process to look at")
    try:
        age_s = time.time() - path.stat().st_mtime
    except OSError as error:
        raise ConvergenceError(f"no heartbeat: {path} is not there") from error
    if age_s > options.max_age:
        raise ConvergenceError(f"no heartbeat for {age_s:.0f} s in {path}; expected one in {options.max_age:.0f} s")
    print(f"alive: {age_s:.0f} s ago")
    return 0
