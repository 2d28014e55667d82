"""The study file's own prices."""

import pytest

from convergence_cluster.bootstrap.runner import build_prices
from convergence_cluster.domain.calls import Usage
from convergence_cluster.spec.loading import loads
from tests.unit.metering.virtual_time import FixedClock

STUDY = """
api:
  name: x
  endpoint: https://example.com/v1/chat/completions
  prices:
    m: {input_per_million_usd: 4, output_per_million_usd: 8, cached_per_million_usd: 1, cache_write_per_million_usd: 5,
        per_call_usd: 0.001}
search_space: {parameters: {model: [m]}}
evaluation:
  test_cases: [{input: {prompt: Why?}, expected: x}]
  metrics: {quality: {function: contains}}
"""


def test_a_price_in_the_study_file_is_reckoned_as_it_stands() -> None:
    usage = Usage(input_tokens=1_000, cached_tokens=300, cache_write_tokens=200, output_tokens=100)

    cost = build_prices(loads(STUDY), environ={}, clock=FixedClock()).cost(model="m", usage=usage)

    assert cost is not None
    assert cost.usd == pytest.approx((500 * 4 + 300 * 1 + 200 * 5 + 100 * 8) / 1e6 + 0.001, abs=1e-12)
