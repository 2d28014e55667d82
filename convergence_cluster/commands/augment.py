"""`convergence augment FILE`: more test cases, in other words, each checked to have the same answer."""

import argparse
import json
import os
from pathlib import Path

from convergence_cluster.bootstrap.augmenting import Augmented, augment
from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import Json
from convergence_cluster.metering.retry import silence_stamina
from convergence_cluster.reports.wording import usd
from convergence_cluster.spec.loading import load_study

_MAX_USD = 1.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("study", type=Path, metavar="FILE", help="the study file (YAML or JSON)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CASES", help="the JSON file to write")
    parser.add_argument("--usd", type=float, default=_MAX_USD, help="the most that it may cost (1.00)")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(options: argparse.Namespace) -> int:
    """Write the cases, and say what was made and what was left out."""
    output: Path = options.output
    if output.exists() and not options.force:
        raise ConvergenceError(f"{output} exists; choose another name with -o, or write over it with --force")
    study = load_study(options.study)
    silence_stamina()
    found = augment(study, environ=read_environment(Path.cwd(), os.environ), clock=SystemClock(), max_usd=options.usd)
    text = json.dumps({"test_cases": [_document(case) for case in found.cases]}, ensure_ascii=False, indent=2)
    try:
        output.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        raise ConvergenceError(f"{output} cannot be written: {error.strerror or error}") from error
    print("\n".join(describe(found, output)))
    return 0


def describe(found: Augmented, output: Path) -> list[str]:
    """Return what came of it, a line each."""
    lines = [f"{output}: {len(found.cases)} cases, {found.n_made} of {found.n_wanted} wanted made for {usd(found.usd)}"]
    lines += [f"  left out: {n} {reason}" for reason, n in sorted(found.reasons.items(), key=lambda item: -item[1])]
    if found.is_out_of_money:
        lines.append("  stopped: one more could cost more than --usd allows")
    lines.append("read the new ones (their ids end in ~r1, ~r2, ...), then name the file in evaluation.test_cases.path")
    return lines


def _document(case: TestCase) -> Json:
    fields: dict[str, Json] = {
        "id": case.id,
        "input": dict(case.input),
        "expected": case.expected,
        "assert": list(case.asserts) or None,
        "weight": case.weight if case.weight != 1.0 else None,
        "tags": list(case.tags) or None,
        "metadata": dict(case.metadata) or None,
    }
    return {key: value for key, value in fields.items() if value is not None}
