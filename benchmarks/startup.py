"""How long the command line takes to answer: wall seconds of whole processes, median of several.

python -m benchmarks.startup
"""

import statistics
import subprocess
import sys
import time

COMMANDS = (("--version",), ("--help",), ("validate", "configs/quickstart.yaml"))
_N = 9


def main() -> int:
    """Print the table."""
    print("| command | median | slowest of 9 |\n|---|---|---|")
    for words in COMMANDS:
        seconds = []
        for _ in range(_N):
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "convergence_cluster.cli", *words], check=True, stdout=subprocess.DEVNULL
            )
            seconds.append(time.perf_counter() - began)
        print(f"| convergence {' '.join(words)} | {statistics.median(seconds):.3f} s | {max(seconds):.3f} s |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
