"""`convergence flower`: workers, queues and tasks in a browser, read-only and behind a password."""

import argparse
import os
from importlib import import_module

from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.machine.place import USER

_PASSWORD = "CONVERGENCE_FLOWER_PASSWORD"  # noqa: S105 - the name of a variable
_LOGINS = ("FLOWER_BASIC_AUTH", "FLOWER_AUTH")
_OPTIONS = {
    "FLOWER_READ_ONLY": "true",
    "FLOWER_PURGE_OFFLINE_WORKERS": "60",
    "FLOWER_TASKS_COLUMNS": "uuid,args,state,worker,received,runtime",
    "FLOWER_MAX_TASKS": "10000",
}
"""A `FLOWER_...` variable that is set already wins."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--address", default="127.0.0.1", help="the address to listen on; default 127.0.0.1")
    parser.add_argument("--port", type=int, default=5555, help="default 5555")


def run(options: argparse.Namespace) -> int:
    """Show the cluster that CONVERGENCE_BROKER_URL names, until told to stop."""
    password = os.environ.pop(_PASSWORD, "")
    if password:
        os.environ.setdefault("FLOWER_BASIC_AUTH", f"{USER}:{password}")
    if not any(os.environ.get(name) for name in _LOGINS):
        raise ConvergenceError(f"Flower shows nothing without a login; set {_PASSWORD}, or {' or '.join(_LOGINS)}")
    for name, value in _OPTIONS.items():
        os.environ.setdefault(name, value)
    app = import_module("convergence_cluster.worker").app
    app.start(["flower", f"--address={options.address}", f"--port={options.port}"])
    return 0
