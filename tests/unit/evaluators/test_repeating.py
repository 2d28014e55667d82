"""Metrics of several draws."""

from itertools import combinations

import pytest

from convergence_cluster.evaluators.repeating import Consistency, PassAll, close_text, same_text


@pytest.mark.parametrize("passed", [(1, 1, 1, 1), (1, 1, 0, 1), (0, 0, 0, 0), (1, 0, 1, 0)])
@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_pass_k_is_the_share_of_groups_of_k_draws_that_all_pass(passed: tuple[int, ...], k: int) -> None:
    metric = PassAll(metric="sure", of="good", k=k, mark=1.0)
    groups = list(combinations(passed, k))

    found = metric.value(["x"] * 4, [{"good": float(each)} for each in passed])

    assert found == sum(all(group) for group in groups) / len(groups)


def test_a_draw_passes_from_the_mark_on() -> None:
    metric = PassAll(metric="sure", of="good", k=2, mark=0.75)

    assert metric.value(["x", "x"], [{"good": 0.75}, {"good": 1.0}]) == 1.0
    assert metric.value(["x", "x"], [{"good": 0.74}, {"good": 1.0}]) == 0.0


@pytest.mark.parametrize(
    ("texts", "same", "close"),
    [
        (("Paris", "paris ", "Paris"), 1.0, 1.0),
        (("Paris", "Paris", "Rome"), 1 / 3, (1 + 0 + 0) / 3),
        (("abcd", "abcx"), 0.0, 0.75),
        (("once",), 1.0, 1.0),
    ],
)
def test_consistency_is_how_alike_two_draws_are(texts: tuple[str, ...], same: float, close: float) -> None:
    metrics: list[dict[str, float]] = [{} for _ in texts]

    assert Consistency(metric="c", alike=same_text).value(texts, metrics) == pytest.approx(same)
    assert Consistency(metric="c", alike=close_text).value(texts, metrics) == pytest.approx(close, abs=0.14)
