"""`convergence watch [STUDY]`: follow a study of the cluster."""

import argparse
from functools import partial

from convergence_cluster.commands.running import configure_view, require_cluster, show
from convergence_cluster.domain.identity import StudyId


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("id", nargs="?", metavar="STUDY", help="the study's id; default: the newest of the cluster")
    configure_view(parser)


def run(options: argparse.Namespace) -> int:
    """Show progress until the study ends, then its answer. Ctrl-C ends the watching, not the study."""
    client = require_cluster()
    study = StudyId(options.id) if options.id else client.newest()
    return show(options, partial(client.follow, study))
