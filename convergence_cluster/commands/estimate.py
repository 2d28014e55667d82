"""`convergence estimate FILE`: what a study would take, without spending anything."""

import argparse
import os
from pathlib import Path

from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.bootstrap.estimating import Estimate, ModelEstimate, estimate
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.reports.wording import usd
from convergence_cluster.spec.loading import load_study

_MAX_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("study", type=Path, metavar="FILE", help="the study file (YAML or JSON)")


def run(options: argparse.Namespace) -> int:
    """Print the estimate."""
    study = load_study(options.study)
    environ = read_environment(Path.cwd(), os.environ)
    found = estimate(study, environ=environ, clock=SystemClock())
    print("\n".join(describe(found)))
    return 0


def describe(found: Estimate) -> list[str]:
    """Return the estimate, a line each."""
    grid = "" if found.full_grid_calls is None else f"; every configuration on every case: {found.full_grid_calls:,}"
    lines = [f"calls    at most {found.max_calls:,}, fewer if the answer is certain earlier{grid}"]
    if found.max_usd is not None:
        lines.append(f"USD      at most {usd(found.max_usd)} (budget.usd)")
    priced = [each.usd for each in found.models if each.usd is not None]
    if priced:
        lines.append(f"         {_total(priced, found)}")
    lines.append("a call   about, with the baseline's other settings and an answer as long as its limit allows:")
    lines += [f"           {_model(each)}" for each in found.models[:_MAX_SHOWN]]
    if len(found.models) > _MAX_SHOWN:
        lines.append(f"           and {len(found.models) - _MAX_SHOWN} more")
    if found.scoring_usd != 0.0:
        most = "unknown" if found.scoring_usd is None else f"at most {usd(found.scoring_usd)}"
        lines.append(f"scoring  {most} an answer, retries included, by {' and '.join(found.scored_by)}")
    return lines


def _total(priced: list[float], found: Estimate) -> str:
    low, high = min(priced) * found.max_calls, max(priced) * found.max_calls
    if len(found.models) == 1:
        return f"{usd(high)} if all calls are made"
    return f"{usd(low)} to {usd(high)} if all calls went to the cheapest or the dearest model below"


def _model(each: ModelEstimate) -> str:
    limit = "no limit on output" if each.max_output_tokens is None else f"at most {each.max_output_tokens:,} tokens out"
    price = "price unknown" if each.usd is None else f"{usd(each.usd)} ({each.price_source})"
    return f"{each.model}: {each.input_tokens:,.0f} tokens in, {limit}, {price}"
