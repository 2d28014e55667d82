"""`convergence compare A B`: the answers of two studies side by side."""

import argparse

from convergence_cluster.commands.running import open_control
from convergence_cluster.reports.comparison import compare, comparison_lines


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("first", metavar="A", help="a study's id")
    parser.add_argument("second", metavar="B", help="another study's id")


def run(options: argparse.Namespace) -> int:
    """Print the comparison."""
    control = open_control()
    first, _ = control.look(options.first)
    second, _ = control.look(options.second)
    print("\n".join(comparison_lines(compare(first, second))))
    return 0
