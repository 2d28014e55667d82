"""A loaded study as JSON, as a search problem, and as rules for calls."""

import json
from collections.abc import Callable
from dataclasses import replace

import jmespath
import pytest

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.domain.search import Stopping
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.portable import pack, unpack
from convergence_cluster.spec.schema_response import CostPath, ResponseSection
from convergence_cluster.spec.search_problem import to_search_problem

Loads = Callable[[str], LoadedStudy]

TEXT = """\
api: {name: x, endpoint: "https://example.com/{{ params.model }}/v1"}
search_space:
  parameters:
    model: [a, b]
    heat: {type: float, min: 0, max: 1, when: {model: b}}
    system: {template: 'prompts/*.md'}
  baseline: {model: b, heat: 1}
evaluation:
  test_cases: {path: cases.json, holdout: 0.2}
  metrics: {quality: {weight: 2, function: contains, mode: all}, tone: 1, latency: 1}
  custom_evaluator: {module: scorer}
  constraints: {cost: {max: 0.1}}
optimization:
  mab: {confidence_level: 0.9}
  evolution: {population_size: 8}
  execution: {parallel_workers: 7, early_stopping: {patience: 2}}
  seed: 5
"""


def test_a_study_travels_as_json(load: Loads) -> None:
    study = load(TEXT)

    arrived = unpack(json.loads(json.dumps(pack(study))))

    assert arrived == replace(
        study, directory=arrived.directory, evaluator=arrived.evaluator, space=arrived.space, baseline=arrived.baseline
    )
    assert pack(arrived) == pack(study)
    assert arrived.space == study.space
    assert arrived.evaluator is not None
    assert study.evaluator is not None
    assert arrived.evaluator.source == study.evaluator.source


def test_candidates_travel_too(load: Loads) -> None:
    text = TEXT[: TEXT.index("  parameters")] + "  candidates: [{m: a}, {m: b}]\n" + TEXT[TEXT.index("evaluation") :]
    study = load(text)

    assert unpack(json.loads(json.dumps(pack(study)))).space == replace(
        study.space, candidates=tuple(study.space.candidates or ())
    )


def test_a_study_of_another_version_is_refused(load: Loads) -> None:
    with pytest.raises(SpecError, match="another version"):
        unpack({**pack(load(TEXT)), "version": 2})


def test_the_search_is_asked_what_the_file_says(load: Loads) -> None:
    study = load(TEXT)

    problem = to_search_problem(study)

    assert problem.n_cases == 4
    assert problem.baseline == {"model": "b", "heat": 1, "system": "prompts/v1.md"}
    assert problem.max_calls == 10 * 8 * 4
    assert (problem.parallelism, problem.max_repeats, problem.seed) == (7, 25, 5)
    assert problem.stopping == Stopping(confidence=0.9, patience=2)
    assert problem.settings == {"mab": {"confidence_level": 0.9}, "evolution": {"population_size": 8}}
    assert problem.case_weights is not None
    assert max(problem.case_weights) == 2
    assert set(problem.case_tags or ()) <= {"", "sum", "product"}
    assert [objective.high for objective in problem.objectives] == [None, None, None, 0.1]


def test_equal_weights_and_no_tags_are_left_out(load: Loads) -> None:
    problem = to_search_problem(load(TEXT.replace("{path: cases.json, holdout: 0.2}", "[{q: 1}, {q: 2}]")))

    assert problem.case_weights is None
    assert problem.case_tags is None


@pytest.mark.parametrize(
    ("body", "is_success"),
    [({"ok": True}, True), ({"ok": False}, False), ({}, True), ({"ok": "done"}, True), ({"ok": None}, True)],
)
def test_only_a_false_flag_is_a_failure(body: Json, *, is_success: bool) -> None:
    rule = ResponseSection(success_field="ok").success_rule()

    assert rule is not None
    assert jmespath.search(rule, {"status": 200, "body": body}) is is_success


def test_success_when_goes_before_success_field() -> None:
    section = ResponseSection(success_field="ok", success_when="status == `201`")

    assert section.success_rule() == "status == `201`"


@pytest.mark.parametrize(
    ("cost", "usd"),
    [(CostPath(path="a"), 1.0), (CostPath(path="a", per_unit=0.5), 0.5), (CostPath(path="a", per_million=3), 3e-6)],
)
def test_a_cost_counts_dollars_units_or_millions(cost: CostPath, usd: float) -> None:
    assert cost.usd_per_unit == usd
