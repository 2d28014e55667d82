"""What the fault tests of the cluster share, and the table of what the faults cost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convergence_cluster.sandbox.faults import SHARES
from tests.cluster_faults import Toll
from tests.cluster_runs import Cluster, cluster
from tests.study_runs import Server, serving_llm

CALM = {**dict.fromkeys((*SHARES, "slow"), 0.0), "slow_s": 5.0, "retry_after_s": 1.0, "first_attempts": 0}
_COLUMNS = ("times", "calls", "repeated", "bound", "seconds")


@pytest.fixture(scope="module")
def llm() -> Iterator[Server]:
    """An API whose answers take 40 ms."""
    with serving_llm("--landscape", "predecessor", "--latency-ms", "40", "--seed", "3") as started:
        yield started


@pytest.fixture
def toll(llm: Server, request: pytest.FixtureRequest, record_property: Any) -> Iterator[Toll]:
    """What the faults of a test cost, by the books of an API that begin with it."""
    llm.reset()
    llm.faults(**CALM)
    toll = Toll(fault=request.node.name.removeprefix("test_").replace("_", " "), server=llm)
    yield toll
    record_property("toll", toll.row())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster in which nothing runs yet but Redis."""
    with cluster(tmp_path) as started:
        yield started


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what was injected and what it cost."""
    failed = {report.nodeid for word in ("failed", "error") for report in terminalreporter.stats.get(word, ())}
    ended = [report for reports in terminalreporter.stats.values() for report in reports if _has_toll(report)]
    if ended:
        terminalreporter.section("faults")
    for report in ended:
        row = dict(report.user_properties)["toll"]
        verdict = "broken" if report.nodeid in failed else "holds"
        cells = "  ".join(f"{name} {row[name]:>4}" for name in _COLUMNS)
        terminalreporter.write_line(f"{verdict}  {cells}  {row['fault']}")


def _has_toll(report: Any) -> bool:
    return getattr(report, "when", None) == "teardown" and "toll" in dict(report.user_properties)
