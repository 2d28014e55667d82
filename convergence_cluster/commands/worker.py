"""`convergence worker`: a process of a cluster that makes calls."""

import argparse
import os
from importlib import import_module

from convergence_cluster.domain.errors import ConvergenceError

_DEFAULT_CONCURRENCY = 64


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--concurrency",
        type=int,
        default=_DEFAULT_CONCURRENCY,
        metavar="N",
        help=f"calls on the wire at once; default {_DEFAULT_CONCURRENCY}",
    )
    parser.add_argument("--queues", metavar="NAME", help="the queue to work for; default CONVERGENCE_QUEUE, or trials")
    parser.add_argument("--name", metavar="NAME", help="what Flower calls it; default worker-PID")


def run(options: argparse.Namespace) -> int:
    """Work until told to stop; the calls on the wire then finish first."""
    if options.concurrency < 1:
        raise ConvergenceError(f"--concurrency is {options.concurrency}; expected at least 1")
    if options.queues:
        os.environ["CONVERGENCE_QUEUE"] = options.queues
    worker = import_module("convergence_cluster.worker")  # reads the environment as it is now
    worker.serve(concurrency=options.concurrency, name=options.name or f"worker-{os.getpid()}")
    return 0
