"""`convergence cache info|prune`: the answers of earlier calls, which a study need not pay for again."""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path

from convergence_cluster.bootstrap.caching import open_local_store
from convergence_cluster.bootstrap.environment import read_environment
from convergence_cluster.commands.verbs import add_verb
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.settings import Settings, read_settings
from convergence_cluster.storage.answer_store import StoreSize

_MB = 1_000_000
_S_PER_DAY = 86_400.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    add_verb(verbs, "info", "say where answers are kept, how many, and since when")
    prune = add_verb(verbs, "prune", "forget answers and give back their disk space")
    prune.add_argument("--older-than", type=_days, metavar="DAYS", help="only those older than so many days")
    prune.add_argument("--max-mb", type=_megabytes, metavar="MB", help="the oldest ones, until so many MB are left")
    prune.add_argument("--all", action="store_true", help="every one; default: those too old to be used")


def run(options: argparse.Namespace) -> int:
    """Do what the verb says."""
    settings = read_settings(read_environment(Path.cwd(), os.environ))
    if not settings.cache_path.is_file():
        print(f"{settings.cache_path}: no answers kept")
        return 0
    clock = SystemClock()
    store = open_local_store(settings, clock)
    if options.verb == "prune":
        days = options.older_than
        if days is None and options.max_mb is None and not options.all:
            days = settings.cache_days
        before_s = None if days is None or options.all else clock.now_s() - days * _S_PER_DAY
        max_bytes = None if options.max_mb is None or options.all else int(options.max_mb * _MB)
        print(f"forgot {store.prune(before_s=before_s, max_bytes=max_bytes):,} answers")
    print("\n".join(_describe(store.size(), settings)))
    return 0


def _describe(size: StoreSize, settings: Settings) -> list[str]:
    since = ""
    if size.oldest_at_s is not None:
        since = f", the oldest of {datetime.fromtimestamp(size.oldest_at_s, UTC).strftime('%Y-%m-%d %H:%M UTC')}"
    limit = f"at most {settings.cache_mb:g} MB" if settings.cache_mb else "off: CONVERGENCE_CACHE_MB is 0"
    return [
        f"{settings.cache_path}: {size.n_answers:,} answers, {size.n_bytes / _MB:.1f} MB{since}",
        f"limits: {limit}, used for {settings.cache_days:g} days",
    ]


def _days(text: str) -> float:
    return _number(text, "days")


def _megabytes(text: str) -> float:
    return _number(text, "MB")


def _number(text: str, unit: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number of {unit} from 0 on")
    return value
