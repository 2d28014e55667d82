"""`convergence watch [STUDY]`: follow a study of the cluster."""

import argparse
import sys
from functools import partial

from convergence_cluster.bootstrap.submitting import ClusterClient
from convergence_cluster.commands.running import INTERRUPTED, configure_view, require_cluster, show
from convergence_cluster.domain.identity import StudyId


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("id", nargs="?", metavar="STUDY", help="the study's id; default: the newest of the cluster")
    configure_view(parser)


def run(options: argparse.Namespace) -> int:
    """Show progress until the study ends, then its answer. Ctrl-C ends the watching, not the study."""
    client = require_cluster()
    study = StudyId(options.id) if options.id else client.newest()
    return follow(options, client, study)


def follow(options: argparse.Namespace, client: ClusterClient, study: StudyId) -> int:
    """Show a study of the cluster until it ends, or until the user has seen enough; return the exit code."""
    if not (options.quiet or options.json):
        print(f"{study} is on the cluster; Ctrl-C ends only the watching", flush=True)
        if client.leader() is None:
            print("nobody coordinates the cluster now; it waits for: convergence coordinate", flush=True)
    try:
        return show(options, partial(client.follow, study))
    except KeyboardInterrupt:
        print(
            f"{study} goes on; see it: convergence watch {study}, stop it: convergence cancel {study}", file=sys.stderr
        )
        return INTERRUPTED
