"""`convergence down`: end the cluster on this machine."""

import argparse
import os
from pathlib import Path

from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.machine.control import end, place_in
from convergence_cluster.settings import read_settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--now", action="store_true", help="do not wait for the calls on the wire")


def run(options: argparse.Namespace) -> int:
    """End it; studies stay where they are and go on after the next `up`."""
    settings = read_settings(read_environment(Path.cwd(), os.environ))
    place = place_in(settings.home)
    if end(place, is_now=options.now, say=print):
        print("the cluster is down; studies that were at work go on after: make up")
    else:
        print("no cluster runs here")
    return 0
