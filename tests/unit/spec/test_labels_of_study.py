"""Answers that people have graded."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.portable import pack, unpack

Loads = Callable[[str], LoadedStudy]


def study_with(load: Loads, labels: Json, metric: str = "type: llm_judge, rubric: x") -> LoadedStudy:
    return load(
        'api: {name: x, endpoint: "https://example.com/v1"}\n'
        "search_space: {parameters: {a: [1, 2]}}\n"
        "evaluation:\n  test_cases: cases.json\n"
        "  judge: {endpoint: 'https://e.com/v1/chat/completions', model: m}\n"
        f"  metrics: {{tone: {{{metric}, labels: {json.dumps(labels)}}}}}\n"
    )


def test_labels_are_shares_flags_or_grades(load: Loads) -> None:
    rows = [
        {"prompt": "a", "answer": "b", "label": 0.25},
        {"prompt": "a", "answer": "b", "label": True},
        {"input": {"q": 1}, "answer": "", "grade": 4, "expected": "y"},
    ]
    study = study_with(load, rows)

    assert [each.label for each in study.labels] == [0.25, 1.0, 0.75]
    assert study.labels[2].case.input == {"q": 1}
    assert study.labels[2].case.expected == "y"
    assert unpack(json.loads(json.dumps(pack(study)))).labels == study.labels
    assert study_with(load, rows[:2]).digest != study.digest


def test_a_table_writes_them_as_text(load: Loads, folder: Path) -> None:
    (folder / "labels.csv").write_text("prompt,answer,label\na,b,pass\na,c,False\na,d,0.5\n")

    assert [each.label for each in study_with(load, "labels.csv").labels] == [1.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a", "label": 1}, "expected an `answer` beside its input"),
        ({"prompt": "a", "answer": "b", "label": 2}, "expected a `label` in [0, 1]"),
        ({"prompt": "a", "answer": "b", "grade": 6}, "or a `grade` from 1 to 5"),
        ({"prompt": "a", "answer": "b"}, "expected a `label`"),
        ({"answer": "b", "label": 1}, "expected an input that is not empty"),
    ],
)
def test_what_is_no_label_is_named(load: Loads, row: Json, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        study_with(load, [row])

    assert "study.yaml:6: evaluation.metrics.tone.labels[0]" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("metric", ["function: exact", "type: llm_judge, rubric: x, against: expected"])
def test_only_a_grading_judge_has_labels(load: Loads, metric: str) -> None:
    with pytest.raises(SpecError, match="labels: expected only with llm_judge and a rubric, without against"):
        study_with(load, [], metric)
