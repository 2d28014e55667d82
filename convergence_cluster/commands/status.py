"""`convergence status [STUDY]`: the studies in the database."""

import argparse
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from convergence_cluster.commands.running import open_control
from convergence_cluster.domain.errors import NotFound
from convergence_cluster.storage.studies import StudyRecord


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("id", nargs="?", metavar="STUDY", help="only this study")


def run(options: argparse.Namespace) -> int:
    """Print a table of studies, newest first."""
    records = open_control().studies()
    if options.id is not None:
        records = tuple(record for record in records if record.id == options.id)
        if not records:
            raise NotFound(f"There is no study {options.id!r}; `convergence status` lists them.")
    if not records:
        print("no study yet; try: convergence optimize configs/quickstart.yaml")
        return 0
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("study", "state", "why it ended", "calls", "USD", "begun (UTC)"):
        table.add_column(heading)
    for record in records:
        table.add_row(*_row(record))
    Console().print(table)
    return 0


def _row(record: StudyRecord) -> tuple[str, ...]:
    usd = "unknown" if record.n_unpriced and not record.spent_usd else f"{record.spent_usd:.4f}"
    begun = datetime.fromtimestamp(record.created_at_s, UTC).strftime("%Y-%m-%d %H:%M")
    return (record.id, record.state.value, record.reason or "", str(record.n_calls), usd, begun)
