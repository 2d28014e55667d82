"""`convergence status [STUDY]`: the cluster, if there is one, and the studies in the database."""

import argparse
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Literal

from rich.console import Console
from rich.table import Table

from convergence_cluster.bootstrap.listing import Listed, list_studies
from convergence_cluster.commands.running import find_cluster, here
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import ConvergenceError, NotFound
from convergence_cluster.machine.control import living_state, place_in
from convergence_cluster.machine.place import USER, Place, Running
from convergence_cluster.settings import Settings

_PIPED_WIDTH = 200
"""A table that goes elsewhere than to a terminal is not folded."""
_HEADINGS: Mapping[str, Literal["left", "right"]] = {
    "study": "left",
    "runs": "left",
    "state": "left",
    "calls": "right",
    "USD": "right",
    "score": "left",
    "begun (UTC)": "left",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("id", nargs="?", metavar="STUDY", help="only this study")


def run(options: argparse.Namespace) -> int:
    """Print how the cluster is and a table of studies, newest first."""
    settings = here()
    listed = list_studies(settings, clock=SystemClock())
    if options.id is not None:
        listed = tuple(each for each in listed if each.record.id == options.id)
        if not listed:
            raise NotFound(f"There is no study {options.id!r}; `convergence status` lists them.")
    else:
        _show_cluster(settings)
    if not listed:
        print("no study yet; try: convergence submit configs/quickstart.yaml")
        return 0
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading, side in _HEADINGS.items():
        table.add_column(heading, justify=side, no_wrap=heading != "state", overflow="fold")
    for each in listed:
        table.add_row(*_row(each))
    Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH).print(table)
    return 0


def _show_cluster(settings: Settings) -> None:
    """Say how the cluster is; what cannot be found out is said and keeps nothing else from being shown."""
    place = place_in(settings.home)
    try:
        found = find_cluster()
        lines = [] if found is None else _cluster_lines(found)
    except ConvergenceError as error:
        lines = [f"cluster   {error}"]
    lines += _machine_lines(place)
    if lines:
        print("\n".join([*lines, ""]))


def _cluster_lines(settings: Settings) -> list[str]:
    try:
        overview = import_module("convergence_cluster.bootstrap.overview")
    except ModuleNotFoundError:
        return ["cluster   its packages are not installed here: pip install 'convergence-cluster[cluster]'"]
    seen = overview.look_at_cluster(settings, clock=SystemClock())
    leader = f"{seen.leader} coordinates" if seen.leader else "NOBODY COORDINATES"
    by_name = ", ".join(f"{n} {name}" for name, n in seen.waiting.items() if n)
    waiting = f"{_plural(sum(seen.waiting.values()), 'task')} waiting{f' ({by_name})' if by_name else ''}"
    return [
        f"cluster   {leader}; {_plural(seen.n_workers, 'worker')}, {seen.n_slots} calls at once",
        f"queue     {waiting}, {seen.n_unacked} in workers' hands",
    ]


def _machine_lines(place: Place) -> list[str]:
    state, kept = living_state(place), place.kept()
    if state is None or kept is None:
        return []
    odd = [f"{each.name} {_oddity(each)}" for each in state.running if _oddity(each)]
    lines = [
        f"flower    {state.flower_url}   user {USER}   password {kept.flower_password}",
        f"metrics   {state.metrics_url}   workers' in {place.folder / 'prometheus.json'}",
        f"files     {place.folder}",
    ]
    return [*lines, f"trouble   {'; '.join(odd)} (see make logs)"] if odd else lines


def _oddity(running: Running) -> str:
    if running.is_failed:
        return "died too often and is given up; end and start: make down up"
    if running.n_restarts:
        return f"was restarted {running.n_restarts} times"
    return "" if running.is_ready else "is not ready"


def _row(listed: Listed) -> tuple[str, ...]:
    record, score = listed.record, listed.score
    state = f"{record.state.value}, {record.reason}" if record.reason else record.state.value
    usd = "unknown" if record.n_unpriced and not record.spent_usd else f"{record.spent_usd:.4f}"
    begun = datetime.fromtimestamp(record.created_at_s, UTC).strftime("%m-%d %H:%M")
    shown = "" if score is None else f"{score.mean:.3f} ± {(score.high - score.low) / 2:.3f}"
    return (record.id, record.placement.value, state, str(record.n_calls), usd, shown, begun)


def _plural(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
