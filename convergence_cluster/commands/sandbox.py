"""`convergence sandbox NAME`: a local API to try everything on."""

import argparse
import subprocess
import sys


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; everything is handed on to the sandbox's own program."""
    parser.add_argument(
        "words",
        nargs=argparse.REMAINDER,
        metavar="NAME ...",
        help="llm or compress, then its options; `convergence sandbox llm --help` lists them",
    )


def run(options: argparse.Namespace) -> int:
    """Run the sandbox until it is interrupted."""
    command = [sys.executable, "-m", "convergence_cluster.sandbox.serve", *(options.words or ["--help"])]
    process = subprocess.Popen(command)  # noqa: S603 - our own module
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the sandbox got it too and is stopping
