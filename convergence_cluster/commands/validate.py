"""`convergence validate FILE`: check a study file without spending anything."""

import argparse
from pathlib import Path

from convergence_cluster.bootstrap.checking import check_study
from convergence_cluster.commands.running import open_control
from convergence_cluster.spec.loading import LoadedStudy, load_study


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("study", type=Path, metavar="FILE", help="the study file (YAML or JSON)")
    parser.add_argument("--structure-only", action="store_true", help="do not ask for keys and prices")


def run(options: argparse.Namespace) -> int:
    """Print what the study is, or every mistake in it."""
    study = load_study(options.study)
    check_study(study)
    if not options.structure_only:
        open_control().check(study)
    print(f"{options.study}: valid")
    for line in describe(study):
        print(f"  {line}")
    for note in study.notes:
        print(f"  note: {note}")
    return 0


def describe(study: LoadedStudy) -> list[str]:
    """Return what a study is, a line each."""
    if study.space.candidates is not None:
        space = f"{len(study.space.candidates)} given configurations"
    else:
        space = ", ".join(_extent(p.name, p.grid(), p.low, p.high) for p in study.space.parameters)
    metrics = ", ".join(f"{metric.name} {metric.weight:.0%}" for metric in study.metrics)
    kept = f", {len(study.holdout)} kept for the final comparison" if study.holdout else ""
    usd = study.spec.budget.usd
    target = "" if study.target is None else f"{study.target.path.name}:{study.target.function}"
    return [
        f"api      {study.spec.api.name} at {study.spec.api.endpoint or target or 'one endpoint a model'}",
        f"search   {space}",
        f"cases    {len(study.cases)}{kept}",
        f"metrics  {metrics}",
        f"budget   {study.max_calls} calls" + (f", {usd:g} USD" if usd else ""),
    ]


def _extent(name: str, values: tuple[object, ...] | None, low: float, high: float) -> str:
    return f"{name} [{low:g}, {high:g}]" if values is None else f"{name} ({len(values)})"
