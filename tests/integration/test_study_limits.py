"""Keeping to a provider's limits, in short; `python -m benchmarks.limits` measures for minutes.

What is used of a limit depends on what else the machine does; that nobody is refused or lost does not.
"""

import pytest

from benchmarks.limits import MAX_REFUSED, measure, parser

SHORT = ["--kind", "bucket", "--burst-s", "4", "--rpm", "3000", "--tpm", "250000", "--call-s", "0.2"]


@pytest.mark.parametrize(
    ("options", "min_throughput"),
    [
        (["--calls", "300"], 0.6),
        (["--calls", "250", "--mean-tokens", "120"], 0.6),
        (["--calls", "500", "--learn"], 0.6),
    ],
    ids=["requests", "tokens", "learned"],
)
def test_64_workers_use_a_limit_and_are_hardly_ever_refused(options: list[str], min_throughput: float) -> None:
    kept = measure(parser().parse_args([*SHORT, *options]))

    assert kept.refused <= MAX_REFUSED or "--learn" in options
    assert kept.refused <= 0.2
    assert kept.throughput >= min_throughput
    assert kept.n_lost == 0
