"""`convergence cancel STUDY`: stop a study of the cluster."""

import argparse

from convergence_cluster.commands.running import require_cluster


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("id", metavar="STUDY", help="the study's id")


def run(options: argparse.Namespace) -> int:
    """Ask the coordinator to stop it."""
    state = require_cluster().cancel(options.id)
    if state.value in {"queued", "running", "interrupted"}:
        print(f"{options.id} is being cancelled; calls on the wire finish. Go on with: convergence resume {options.id}")
    else:
        print(f"{options.id} is {state.value} already")
    return 0
