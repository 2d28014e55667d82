"""`convergence optimize FILE`: run a study in this process."""

import argparse
from functools import partial
from pathlib import Path

from convergence_cluster.bootstrap.continuing import with_seed
from convergence_cluster.commands.conditions import require_known
from convergence_cluster.commands.running import configure_view, open_control, show
from convergence_cluster.spec.loading import LoadedStudy, load_study


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("study", type=Path, metavar="FILE", help="the study file (YAML or JSON)")
    parser.add_argument("--new", action="store_true", help="start anew even if this study was interrupted before")
    parser.add_argument("--seed", type=_seed, metavar="N", help="overrule optimization.seed")
    configure_view(parser)


def run(options: argparse.Namespace) -> int:
    """Run the study and print the answer."""
    study = load(options)
    return show(options, partial(open_control(options).run, study, source=options.study, is_new=options.new))


def load(options: argparse.Namespace) -> LoadedStudy:
    """Return the study that the options ask for.

    Raises:
        SpecError: its file is not valid, or a condition names nothing that an answer will have.
    """
    study = load_study(options.study)
    require_known(options.fail_if, (metric.name for metric in study.metrics))
    return study if options.seed is None else with_seed(study, options.seed)


def _seed(text: str) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 0 on")
