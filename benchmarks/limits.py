"""How well a study keeps to a provider's limits: `python -m benchmarks.limits`.

64 workers against a server of 600 requests and 50,000 tokens a minute: at most 2 % of its answers are refusals, at
least 95 % of what the limits allow gets through, and no call is lost. With `--learn` the study names no limit and goes
by the server's headers.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.limited_server import add_options
from convergence_cluster.api import optimize

MAX_REFUSED = 0.02
MIN_THROUGHPUT = 0.95
_MINUTE_S = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One study under limits."""

    n_calls: int
    n_lost: int
    """Calls without an answer."""
    n_refused: int
    n_accepted: int
    seconds: float
    """From the first accepted request to the last."""
    throughput: float
    """Of what the tighter of the limits allows in that time, bursts aside."""

    @property
    def refused(self) -> float:
        """Share of the server's answers."""
        return self.n_refused / (self.n_refused + self.n_accepted)

    @property
    def is_kept(self) -> bool:
        """Say whether all three targets are met."""
        return self.refused <= MAX_REFUSED and self.throughput >= MIN_THROUGHPUT and self.n_lost == 0


def measure(options: argparse.Namespace) -> Kept:
    """Run one study in a folder of its own."""
    folder, before = Path(tempfile.mkdtemp()), Path.cwd()
    try:
        with _serving(options) as url:
            os.chdir(folder)
            (folder / "study.yaml").write_text(yaml.safe_dump(_study(options, url), sort_keys=False))
            result = optimize(folder / "study.yaml", writes_files=False)
            with urllib.request.urlopen(f"{url}/books", timeout=10) as answer:  # noqa: S310 - our own server
                books = json.load(answer)
    finally:
        os.chdir(before)
        shutil.rmtree(folder)
    seconds = books["last_s"] - books["first_s"]
    shares = (books["accepted"] / options.rpm, books["tokens"] / options.tpm)
    return Kept(
        n_calls=result.n_calls,
        n_lost=sum(scored.outcome.latency_s is None for scored in result.report.calls),
        n_refused=books["refused"],
        n_accepted=books["accepted"],
        seconds=seconds,
        throughput=max(shares) * _MINUTE_S / seconds,
    )


@contextmanager
def _serving(options: argparse.Namespace) -> Iterator[str]:
    names = ("kind", "rpm", "tpm", "burst_s", "mean_tokens", "call_s")
    words = [word for name in names for word in (f"--{name.replace('_', '-')}", str(getattr(options, name)))]
    command = [sys.executable, "-m", "benchmarks.limited_server", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        finally:
            process.communicate()


def _study(options: argparse.Namespace, url: str) -> dict[str, Any]:
    cases = [{"id": str(n), "input": {"prompt": f"Is {n} a number?"}, "expected": "yes"} for n in range(200)]
    rate = {} if options.learn else {"rate": {"rpm": options.rpm, "tpm": options.tpm}}
    return {
        "api": {"name": "limits", "provider": "openai", "endpoint": f"{url}/v1/chat/completions", **rate},
        "search_space": {"parameters": {"model": ["good", "bad"], "max_tokens": [128, 512]}},
        "evaluation": {"test_cases": cases, "metrics": {"quality": {"function": "contains"}}},
        "optimization": {
            "algorithm": "random",
            "execution": {"parallel_workers": options.workers, "early_stopping": {"enabled": False}},
            "seed": 7,
        },
        "budget": {"calls": options.calls + options.calls // 10},
        "legacy": {"enabled": False},
    }


def parser() -> argparse.ArgumentParser:
    """Return the options."""
    described = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(described)
    described.add_argument("--workers", type=int, default=64)
    described.add_argument("--calls", type=int, default=1000, help="a hundred seconds of requests by default")
    described.add_argument("--learn", action="store_true", help="name no limit in the study")
    return described


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where a target is missed."""
    options = parser().parse_args(arguments)
    kept = measure(options)
    print("| workers | limit a minute | named by | calls | seconds | answered 429 | throughput | lost |")
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {options.workers} | {options.rpm:g} requests, {options.tpm:g} tokens ({options.kind}) "
        f"| {'the headers' if options.learn else 'the study'} | {kept.n_calls} | {kept.seconds:.1f} "
        f"| {kept.n_refused} ({kept.refused:.1%}) | {kept.throughput:.1%} | {kept.n_lost} |"
    )
    print(f"targets: at most {MAX_REFUSED:.0%} answered 429, at least {MIN_THROUGHPUT:.0%} of the limit, none lost")
    return 0 if kept.is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
