"""`convergence legacy list|show|export|import`: what earlier studies learned."""

import argparse
import csv
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.bootstrap.remembering import open_legacy
from convergence_cluster.commands.verbs import add_verb
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.optimizers.policy import earned
from convergence_cluster.reports.cells import cell
from convergence_cluster.reports.wording import configuration_text, counted, percent
from convergence_cluster.settings import Settings, read_settings, sqlite_url
from convergence_cluster.storage.legacy import LegacyStore
from convergence_cluster.storage.legacy_files import (
    AUDIT_COLUMNS,
    WINNER_COLUMNS,
    audit_rows,
    export_document,
    family_document,
    import_file,
    winner_rows,
)

_N_SHOWN = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--file", type=Path, metavar="DB", help="the memory's file; default: .convergence/legacy.db")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    add_verb(verbs, "list", "list the families of studies that learn from each other")
    show = add_verb(verbs, "show", "show what a family knows: its studies and their best configurations")
    show.add_argument("family", help="its name, or the beginning of its id")
    show.add_argument("--json", action="store_true", help="print all of it as JSON, every configuration and case")
    export = add_verb(verbs, "export", "write everything as JSON, or a family as CSV")
    export.add_argument("--family", help="only this one, as winners_<name>.csv and audit_<study>.csv")
    export.add_argument("-o", "--output", type=Path, metavar="PATH", help="JSON file, or folder for the CSV files")
    take = add_verb(verbs, "import", "take in an exported JSON file, or the legacy.db of an older release")
    take.add_argument("path", type=Path, metavar="FILE", help="what to take in")


def run(options: argparse.Namespace) -> int:
    """Do what the verb says."""
    settings = read_settings(read_environment(Path.cwd(), os.environ))
    try:
        return _run(options, settings)
    except BrokenPipeError:  # `| head`
        raise
    except OSError as error:
        raise ConvergenceError(f"{error.filename or options.output} cannot be written: {error.strerror}") from error


def _run(options: argparse.Namespace, settings: Settings) -> int:
    with open_legacy(sqlite_url(options.file.absolute()) if options.file else settings.legacy_url) as store:
        match options.verb:
            case "list":
                _list(store)
            case "show":
                _show(store, options.family, as_json=options.json)
            case "export":
                _export(store, options.family, options.output)
            case _:
                found = import_file(store, options.path)
                print(
                    f"imported {counted(found.n_arms, 'configuration')} of "
                    f"{counted(found.n_studies, 'study', 'studies')} "
                    f"({counted(found.n_families, 'family', 'families')})"
                )
    return 0


def _list(store: LegacyStore) -> None:
    records = store.families()
    if not records:
        print("nothing learned yet; a study leaves its best configurations here when it finishes")
    for record in records:
        last = datetime.fromtimestamp(record.last_at_s, UTC).strftime("%Y-%m-%d")
        print(
            f"{record.family.id}  {record.family.name}: {counted(record.n_studies, 'study', 'studies')}, "
            f"{counted(record.n_calls, 'call')}, "
            f"last on {last}; {', '.join(record.family.metrics)}"
        )


def _show(store: LegacyStore, name: str, *, as_json: bool) -> None:
    record = store.find(name)
    if as_json:
        print(json.dumps(family_document(store, record.family), indent=1))
        return
    print(f"{record.family.name} ({record.family.id}) at {record.family.endpoint}")
    for study in store.studies(record.family.id):
        finished = datetime.fromtimestamp(study.finished_at_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
        kept = counted(len(study.arms), "configuration")
        print(f"  {study.id}, {finished}, {counted(study.n_calls, 'call')}, {kept} kept")
        for arm in study.arms[:_N_SHOWN]:
            sure = "" if arm.deviation is None else f" ± {arm.deviation:.3f}"
            calls = counted(arm.n_calls, "call")
            print(f"    {arm.score:.3f}{sure} after {calls}: {configuration_text(arm.configuration)}")
        if len(study.arms) > _N_SHOWN:
            print(f"    {len(study.arms) - _N_SHOWN:,} more: --json")
        if paid := earned(study.policy):
            shares = ", ".join(f"{name} {percent(share)} of {n:.0f}" for name, (n, share) in paid.items())
            print(f"    proposals that equalled or beat the best so far: {shares}")


def _export(store: LegacyStore, family: str | None, output: Path | None) -> None:
    if family is None:
        text = json.dumps(export_document(store), indent=1)
        if output is None:
            print(text)
        else:
            output.write_text(text + "\n", encoding="utf-8")
            print(f"wrote {output}", file=sys.stderr)
        return
    record = store.find(family)
    studies = store.studies(record.family.id)
    folder = output or Path()
    folder.mkdir(parents=True, exist_ok=True)
    _write(
        folder / f"winners_{_file_name(record.family.name)}.csv", WINNER_COLUMNS, winner_rows(record.family, studies)
    )
    for study in studies:
        _write(folder / f"audit_{_file_name(study.id)}.csv", AUDIT_COLUMNS, audit_rows(record.family, study))


def _write(path: Path, columns: tuple[str, ...], rows: object) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        for row in rows:  # type: ignore[attr-defined]  # an iterator of tuples
            writer.writerow([cell(value) for value in row])
    print(f"wrote {path}", file=sys.stderr)


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
