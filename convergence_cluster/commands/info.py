"""`convergence info`: what this is, where it keeps things, which versions it runs on."""

import argparse
import platform
import re
import shlex
from importlib.metadata import version

from convergence_cluster import __version__
from convergence_cluster.commands.running import cluster_environment, find_cluster, here
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.machine.control import BROKER

_VARIABLES = (
    "CONVERGENCE_HOME",
    "CONVERGENCE_DATABASE_URL",
    BROKER,
    "CONVERGENCE_SENTINEL_MASTER",
    "CONVERGENCE_QUEUE",
    "CONVERGENCE_LEASE_S",
)
_PACKAGES = ("optuna", "sqlalchemy", "pydantic", "httpx", "numpy")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--env", action="store_true", help="print the variables by which another shell reaches the same cluster"
    )


def run(options: argparse.Namespace) -> int:
    """Print it."""
    if options.env:
        return _print_variables()
    settings = here()
    print(f"convergence {__version__}: finds the best configuration of an API for as few paid calls as possible")
    print(f"  studies   {_without_password(settings.database_url)}")
    print(f"  legacy    {_without_password(settings.legacy_url)}")
    print(f"  cache     {settings.cache_path if settings.cache_mb else 'off'}")
    print(f"  python    {platform.python_version()}")
    print("  packages  " + ", ".join(f"{name} {version(name)}" for name in _PACKAGES))
    print(f"  runs in   {_where()}")
    return 0


def _print_variables() -> int:
    """Print what a shell can evaluate; the broker's password is part of it."""
    found = cluster_environment()
    if not found.get(BROKER):
        raise ConvergenceError("no cluster is configured and none runs on this machine; start one: make up")
    for name in _VARIABLES:
        if found.get(name):
            print(f"export {name}={shlex.quote(found[name])}")
    return 0


def _where() -> str:
    try:
        cluster = find_cluster()
    except ConvergenceError as error:
        return f"nowhere: {error}"
    if cluster is None:
        return "this process"
    return f"the cluster at {_without_password(cluster.broker_url or '')} by `submit`; this process by `optimize`"


def _without_password(url: str) -> str:
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)
