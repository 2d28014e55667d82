"""`convergence import promptfoo FILE`: a study from another tool's file."""

import argparse
from pathlib import Path

from convergence_cluster.commands.validate import describe
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.spec.loading import loads
from convergence_cluster.spec.promptfoo import import_promptfoo


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("tool", choices=["promptfoo"], help="whose file it is")
    parser.add_argument("file", type=Path, metavar="FILE", help="promptfooconfig.yaml, or as you call it")
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("study.yaml"),
        metavar="STUDY",
        help="write the study here (study.yaml)",
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(options: argparse.Namespace) -> int:
    """Write the study, and say what it has and what it could not have."""
    output: Path = options.output
    if output.exists() and not options.force:
        raise ConvergenceError(f"{output} exists; choose another name with -o, or write over it with --force")
    imported = import_promptfoo(options.file, folder=output.parent)
    text = imported.text(options.file.name)
    study = loads(text, name=output.name, directory=output.parent)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConvergenceError(f"{output} cannot be written: {error.strerror or error}") from error
    print(f"{output}: a study from {options.file}")
    for line in describe(study):
        print(f"  {line}")
    for note in study.notes:
        print(f"  note: {note}")
    if imported.remarks:
        print("not carried over, or otherwise:")
    for remark in imported.remarks:
        print(f"  {remark}")
    print(f"next: convergence validate {output}")
    return 0
