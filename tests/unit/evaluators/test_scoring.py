"""One number from several metrics."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cluster.domain.search import Direction
from convergence_cluster.evaluators.scoring import Utility, score

QUALITY = Utility(name="quality", weight=3.0, direction=Direction.MAXIMIZE)
LATENCY = Utility(name="latency_ms", weight=1.0, direction=Direction.MINIMIZE, scale=200.0)
COST = Utility(name="cost_usd", weight=1.0, direction=Direction.MINIMIZE)


@pytest.mark.parametrize(("raw", "value"), [(-1.0, 0.0), (0.0, 0.0), (0.3, 0.3), (1.0, 1.0), (7.0, 1.0)])
def test_more_is_better_is_clipped(raw: float, value: float) -> None:
    assert QUALITY.value(raw) == value


@pytest.mark.parametrize(("raw", "value"), [(0.0, 1.0), (200.0, 0.5), (600.0, 0.25), (-5.0, 1.0)])
def test_less_is_better_is_a_half_at_its_scale(raw: float, value: float) -> None:
    assert LATENCY.value(raw) == value


def test_the_score_is_the_weighted_mean_of_utilities() -> None:
    metrics = {"quality": 0.8, "latency_ms": 600.0, "unweighted": 9.0}

    assert score(metrics, [QUALITY, LATENCY]) == pytest.approx((3 * 0.8 + 1 * 0.25) / 4)
    assert score(metrics, [QUALITY]) == pytest.approx(0.8)


@given(
    quality=st.floats(min_value=-10, max_value=10),
    latency_ms=st.floats(min_value=0, max_value=1e9),
    slower_ms=st.floats(min_value=0, max_value=1e9),
)
def test_a_score_is_in_zero_to_one_and_never_rises_with_latency(
    quality: float, latency_ms: float, slower_ms: float
) -> None:
    fast = score({"quality": quality, "latency_ms": latency_ms}, [QUALITY, LATENCY])
    slow = score({"quality": quality, "latency_ms": latency_ms + slower_ms}, [QUALITY, LATENCY])

    assert 0.0 <= slow <= fast <= 1.0


def test_a_missing_metric_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(KeyError):
        score({"quality": 1.0}, [QUALITY, LATENCY])


def test_a_utility_without_its_scale_has_no_value() -> None:
    with pytest.raises(ValueError, match="scale of 'cost_usd' is not known yet"):
        COST.value(1.0)


@pytest.mark.parametrize(("weight", "scale"), [(-1.0, None), (1.0, 0.0), (1.0, -2.0)])
def test_senseless_utilities_are_refused(weight: float, scale: float | None) -> None:
    with pytest.raises(ValueError, match="'x'"):
        Utility(name="x", weight=weight, direction=Direction.MINIMIZE, scale=scale)


def test_weights_of_zero_make_no_score() -> None:
    with pytest.raises(ValueError, match="positive weight"):
        score({"quality": 1.0}, [Utility(name="quality", weight=0.0, direction=Direction.MAXIMIZE)])
