"""Speed, with loose bounds for a machine that does other things too; `python -m benchmarks.pace` measures strictly."""

import pytest

from benchmarks.pace import measure

pytestmark = pytest.mark.alone


@pytest.mark.parametrize(
    ("n_workers", "n_calls", "max_wall", "max_latency"), [(5, 200, 2.0, 1.1), (100, 1500, 12.0, 1.25)]
)
def test_workers_are_in_flight_exactly_and_latency_is_the_servers_own(
    n_workers: int, n_calls: int, max_wall: float, max_latency: float
) -> None:
    pace = measure(n_workers, n_calls)

    assert pace.n_calls == n_calls
    assert pace.in_flight_max == n_workers
    assert pace.wall_ratio < max_wall
    assert 0.98 < pace.latency_ratio < max_latency
