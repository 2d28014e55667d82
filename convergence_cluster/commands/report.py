"""`convergence report [STUDY]`: write a study's reports again, from its journal."""

import argparse
from pathlib import Path

from convergence_cluster.bootstrap.reporting import write_report
from convergence_cluster.commands.running import open_control
from convergence_cluster.reports.summary import last_lines


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("id", nargs="?", metavar="STUDY", help="the study's id; default: the newest one")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="write here instead of output.save_path")


def run(options: argparse.Namespace) -> int:
    """Write the files and print the answer."""
    report, study = open_control().look(options.id)
    write_report(report, study, folder=options.output)
    folder = options.output or Path(study.spec.output.save_path)
    print("\n".join(last_lines(report, saved_to=str(folder))))
    return 0
