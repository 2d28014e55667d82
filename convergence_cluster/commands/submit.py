"""`convergence submit FILE`: run a study where it belongs."""

import argparse

from convergence_cluster.bootstrap.results_folder import require_writable
from convergence_cluster.bootstrap.submitting import without_cache
from convergence_cluster.commands import optimize
from convergence_cluster.commands.optimize import load
from convergence_cluster.commands.running import cluster_client
from convergence_cluster.commands.watch import follow
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.storage.studies import Priority


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    optimize.configure(parser)
    parser.add_argument(
        "--detach", action="store_true", help="on a cluster: print the study's id and return; `watch` follows it"
    )
    parser.add_argument(
        "--priority",
        choices=[priority.value for priority in Priority],
        default=Priority.NORMAL.value,
        help="on a cluster: which studies go first; default normal",
    )


def run(options: argparse.Namespace) -> int:
    """Send the study to the cluster that is configured and follow it, or run it here."""
    client = cluster_client()
    if client is None and options.detach:
        raise ConvergenceError("--detach leaves a study to a cluster, and none is configured; start one: make up")
    if client is None:
        return optimize.run(options)
    study = load(options)
    if not options.detach:
        require_writable(study, options.output)
    if options.no_cache:
        study = without_cache(study)
    submitted = client.submit(study, source=options.study, priority=Priority(options.priority), is_new=options.new)
    if options.detach:
        print(submitted)
        return 0
    return follow(options, client, submitted)
