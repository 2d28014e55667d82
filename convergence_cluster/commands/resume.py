"""`convergence resume [STUDY]`: go on with an interrupted study."""

import argparse
from functools import partial

from convergence_cluster.commands.running import cluster_client, configure_view, open_control, show
from convergence_cluster.commands.watch import follow


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "id",
        nargs="?",
        metavar="STUDY",
        help="the study's id; default: the newest unfinished one, else the newest that its budget ended",
    )
    configure_view(parser)


def run(options: argparse.Namespace) -> int:
    """Make the missing calls and print the answer."""
    client = cluster_client()
    study = None if client is None else client.resume(options.id)
    if client is not None and study is not None:
        return follow(options, client, study)
    return show(options, partial(open_control(options).resume, options.id))
