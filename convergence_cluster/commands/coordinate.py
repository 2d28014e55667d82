"""`convergence coordinate`: the process of a cluster that decides."""

import argparse
from importlib import import_module


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: none; everything is a `CONVERGENCE_*` variable."""
    del parser


def run(options: argparse.Namespace) -> int:
    """Coordinate until told to stop."""
    del options
    # The plain install lacks the packages of a cluster, and shows the help of this command all the same.
    import_module("convergence_cluster.bootstrap.coordinator_process").coordinate()
    return 0
