"""Everything that the docs state, measured again in a short version: under ten minutes on two cores.

    python -m benchmarks [--data DIR]

`--data` is a folder of recorded outcomes (docs/benchmarks.md says where they come from and in which layout); without it
the search is measured on functions and simulations only. Each section prints the command that runs it alone; the longer
versions behind the published figures are in docs/benchmarks.md.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TABLES = "editbench,imagemagick_filters,renze_temperature"
METHODS = "ours,halving,tpe-25,random"


def sections(data: Path | None, out: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield a heading and a command a section."""
    yield "The command line answers", ["benchmarks.startup"]
    yield "The coordinator's own cost", ["benchmarks.coordinator", "--calls", "10000"]
    yield "Pace at 5 and 100 workers, 50 ms server", ["benchmarks.pace", "--seconds", "10"]
    yield "Keeping to 600 requests and 50,000 tokens a minute", ["benchmarks.limits", "--calls", "400"]
    yield "Limits that four processes share", ["benchmarks.shared_limits", "--seconds", "30", "--cost-seconds", "1"]
    cluster = ["--calls", "8000", "--latency-ms", "50", "--methods", "bare,random,celery,optuna"]
    yield "A whole cluster beside its peers, 50 ms server", ["benchmarks.cluster", *cluster]
    yield "The cluster's coordinator under load", ["benchmarks.soak", "--absorb", "10000", "--studies", "8"]
    yield "The optimum of a simulated API", ["benchmarks.landscapes", "--seeds", "10"]
    yield (
        "Three objectives",
        ["benchmarks.pareto", "--seeds", "2", "--methods", "ours,tpe-25", "--out", str(out / "pareto")],
    )
    yield (
        "A space too large to list",
        ["benchmarks.large_space", "--seeds", "2", "--methods", "ours,tpe-25", "--out", str(out / "large-space")],
    )
    if data is not None:
        options = ["--data", str(data), "--tables", TABLES, "--methods", METHODS, "--seeds", "10", "--workers", "32"]
        options += ["--heavy-seeds", "2", "--max-trials", "100", "--max-calls", "12000"]
        yield "Recorded outcomes", ["benchmarks.search", *options, "--out", str(out / "search")]


def main() -> int:
    """Run every section; return how many failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    n_failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for heading, words in sections(options.data, Path(folder)):
            print(f"\n## {heading}\n\n    python -m {shlex.join(words)}\n", flush=True)
            began = time.perf_counter()
            code = subprocess.run([sys.executable, "-m", *words], check=False).returncode
            print(f"\n({time.perf_counter() - began:.0f} s{'' if code == 0 else f', FAILED with {code}'})", flush=True)
            n_failed += code != 0
    return n_failed


if __name__ == "__main__":
    sys.exit(main())
