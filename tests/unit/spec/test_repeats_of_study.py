"""Metrics that want several answers to the same request."""

from collections.abc import Callable

import pytest

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.search_problem import to_search_problem

Loads = Callable[[str], LoadedStudy]


def study_with(load: Loads, metrics: str, more: str = "") -> LoadedStudy:
    return load(
        'api: {name: x, endpoint: "https://example.com/v1"}\n'
        "search_space: {parameters: {a: [1, 2]}}\n"
        f"evaluation:\n  test_cases: cases.json\n  metrics: {metrics}\n{more}"
    )


def test_as_many_answers_are_drawn_as_the_most_demanding_metric_wants(load: Loads) -> None:
    metrics = (
        "{quality: {function: contains}, sure: {function: pass^k, repeats: 3}, c: {function: consistency, repeats: 4}}"
    )
    study = study_with(load, metrics, "budget: {calls: 200}\n")

    assert study.n_draws == 4
    assert study.metrics[1].function == "pass^k"
    assert study.metrics[1].options == {"repeats": 3, "of": "quality"}
    assert to_search_problem(study).max_calls == 50


def test_without_any_one_answer_is_drawn(load: Loads) -> None:
    assert study_with(load, "{accuracy: {function: exact}}").n_draws == 1


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("{sure: {function: pass^k}}", "evaluation.metrics.sure.repeats: required for pass^k and consistency"),
        ("{a: {function: exact, repeats: 2}}", "evaluation.metrics.a.repeats: required for pass^k and consistency"),
        ("{sure: {function: pass^k, repeats: 2}}", "sure.of: required: the metric that every draw must pass"),
        (
            "{a: {function: exact}, b: {function: contains}, sure: {function: pass^k, repeats: 2}}",
            "sure.of: required: the metric that every draw must pass; expected one of: a, b",
        ),
        (
            "{accurate: {function: exact}, sure: {function: pass^k, repeats: 2, of: acurate}}",
            "sure.of: acurate: no metric in [0, 1]; did you mean 'accurate'?",
        ),
        (
            "{a: {function: exact}, latency: 0, sure: {function: pass^k, repeats: 2, of: latency_ms}}",
            "sure.of: latency_ms: no metric in [0, 1]",
        ),
        ("{a: {function: exact}, sure: {function: pass^k, repeats: 1}}", "expected a number of at least 2"),
    ],
)
def test_what_cannot_be_computed_is_refused(load: Loads, metrics: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        study_with(load, metrics)

    assert message in str(caught.value)
