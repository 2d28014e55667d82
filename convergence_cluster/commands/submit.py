"""`convergence submit FILE`: run a study where it belongs."""

import argparse
import os

from convergence_cluster.commands import optimize
from convergence_cluster.domain.errors import ConvergenceError


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    optimize.configure(parser)


def run(options: argparse.Namespace) -> int:
    """Run the study in this process; a cluster is not available in this release."""
    if os.environ.get("CONVERGENCE_BROKER_URL"):
        raise ConvergenceError(
            "CONVERGENCE_BROKER_URL is set, but this release runs studies in this process only; "
            "unset it, or use `convergence optimize`"
        )
    return optimize.run(options)
