"""Metrics: weights, directions, scales, and who computes them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from convergence_cluster.domain.search import Direction, Objective
from convergence_cluster.spec.loading import LoadedStudy

Loads = Callable[[str], LoadedStudy]


def study_with(load: Loads, metrics: str, more: str = "") -> LoadedStudy:
    return load(
        'api: {name: x, endpoint: "https://example.com/v1"}\n'
        "search_space: {parameters: {a: [1, 2]}}\n"
        f"evaluation:\n  test_cases: cases.json\n  metrics: {metrics}\n{more}"
    )


def test_weights_add_up_to_one(load: Loads) -> None:
    study = study_with(load, "{accuracy: 3, latency: 1, cost: 0}")

    assert [metric.weight for metric in study.metrics] == [0.75, 0.25, 0]


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("latency_sec", Direction.MINIMIZE),
        ("cost_per_task", Direction.MINIMIZE),
        ("error_rate", Direction.MINIMIZE),
        ("answer_tokens", Direction.MINIMIZE),
        ("token_efficiency", Direction.MAXIMIZE),
        ("completeness", Direction.MAXIMIZE),
        ("success_rate", Direction.MAXIMIZE),
    ],
)
def test_a_bare_metric_says_by_its_name_which_way_is_better(load: Loads, name: str, direction: Direction) -> None:
    study = study_with(load, f"[{name}]", "  custom_evaluator: {module: scorer}\n")

    assert study.metrics[0].direction is direction


def test_what_is_written_goes_before_what_a_name_says(load: Loads) -> None:
    study = study_with(load, "{wasted_time: {function: numeric, type: higher_is_better}}")

    assert study.metrics[0].direction is Direction.MAXIMIZE


def test_a_short_name_with_a_function_is_the_users_own(load: Loads) -> None:
    study = study_with(load, "{cost: {function: custom}}", "  custom_evaluator: {module: scorer}\n")

    assert (study.metrics[0].name, study.metrics[0].function) == ("cost", "custom")


def test_only_lower_is_better_has_a_scale(load: Loads) -> None:
    study = study_with(load, "{accuracy: {threshold: 0.7}, latency: {threshold: 900}, cost: {budget_per_call: 0.01}}")

    assert [metric.scale for metric in study.metrics] == [None, 900, 0.01]


def test_constraints_bound_objectives_and_watch_what_is_measured(load: Loads) -> None:
    study = study_with(load, "{accuracy: 1}", "  constraints: {accuracy: {min: 0.8}, latency: {max: 2000}}\n")

    assert study.objectives == (
        Objective(name="accuracy", direction=Direction.MAXIMIZE, low=0.8),
        Objective(name="latency_ms", direction=Direction.MINIMIZE, high=2000),
    )
    assert study.metrics[1].weight == 0


def test_options_of_a_function_are_at_hand(load: Loads) -> None:
    study = study_with(load, "{shape: {function: json_schema, schema: {type: object}, relative_tolerance: 0.1}}")

    assert study.metrics[0].options == {"schema": {"type": "object"}, "relative_tolerance": 0.1}


def test_a_judge_is_scored_by_the_evaluator_where_there_is_one(load: Loads) -> None:
    study = study_with(load, "{tone: {type: llm_judge}}", "  custom_evaluator: {module: scorer}\n")

    assert study.metrics[0].function == "custom"


def test_an_imported_function_counts_as_defined(load: Loads, folder: Path) -> None:
    (folder / "scorer.py").write_text("from mine import best as score_response")
    study = study_with(load, "[tone]", "  custom_evaluator: {module: scorer}\n")

    assert study.evaluator is not None
    assert study.evaluator.function == "score_response"


@pytest.mark.parametrize(
    ("metrics", "is_used"), [("{tone: 1}", True), ("{accuracy: {function: contains}, latency: 1}", False)]
)
def test_an_evaluator_beside_the_study_is_its_part_only_where_a_metric_needs_it(
    load: Loads, folder: Path, metrics: str, *, is_used: bool
) -> None:
    without = study_with(load, "{accuracy: {function: contains}, latency: 1}")
    (folder / "evaluator.py").write_text("def score_response(result, expected, params, metric=None):\n    return 1.0\n")

    study = study_with(load, metrics)

    note = "evaluation.custom_evaluator: uses score_response of evaluator.py beside the study file"
    assert (study.evaluator is not None) is is_used
    assert (note in study.notes) is is_used
    assert is_used or study.digest == without.digest
