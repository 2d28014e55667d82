"""The models that help to score, as a study names them."""

import json
from collections.abc import Callable

import pytest

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.search import Direction
from convergence_cluster.spec.environment import missing_environment
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.portable import pack, unpack

Loads = Callable[[str], LoadedStudy]

JUDGE = "{endpoint: 'https://${HOST}/v1/chat/completions', model: m, auth: {type: bearer, token_env: JUDGE_KEY}}"


def study_with(load: Loads, metrics: str, more: str = "", cases: str = "cases.json") -> LoadedStudy:
    return load(
        'api: {name: x, endpoint: "https://example.com/v1"}\n'
        "search_space: {parameters: {a: [1, 2]}}\n"
        f"evaluation:\n  test_cases: {cases}\n  metrics: {metrics}\n{more}"
    )


def test_a_judge_grades_by_a_rubric(load: Loads) -> None:
    metrics = "{tone: {type: llm_judge, rubric: Be kind., votes: 3, threshold: 0.5}}"
    study = study_with(load, metrics, f"  judge: {JUDGE}\n")
    (metric,) = study.metrics

    assert (metric.function, metric.direction, metric.scale) == ("llm-rubric", Direction.MAXIMIZE, None)
    assert metric.options == {"value": "Be kind.", "votes": 3, "threshold": 0.5}
    assert study.notes == ()
    assert unpack(json.loads(json.dumps(pack(study)))).metrics == study.metrics


@pytest.mark.parametrize("written", ["llm_judge", "llm-rubric", "llm_rubric", "llm-judge"])
def test_it_is_a_function_too(load: Loads, written: str) -> None:
    study = study_with(load, f"{{tone: {{function: {written}, rubric: x}}}}", f"  judge: {JUDGE}\n")

    assert study.metrics[0].function == "llm-rubric"


@pytest.mark.parametrize(
    ("metrics", "more", "message"),
    [
        (
            "{tone: {type: llm_judge, rubric: x}}",
            "",
            "study.yaml:3: evaluation.judge: required by llm_judge and llm-rubric: the endpoint and the model",
        ),
        ("{tone: {type: llm_judge}}", f"  judge: {JUDGE}\n", "evaluation.metrics.tone.rubric: required for llm_judge"),
        ("{a: {function: similar}}", "", "evaluation.embeddings: required by similar: the endpoint and the model"),
        (
            "{a: {assert: [{type: assert-set, assert: [{type: not-llm-rubric, value: x}]}]}}",
            "",
            "evaluation.judge: required by llm_judge and llm-rubric",
        ),
        (
            "{tone: {type: llm_judge, rubric: x}}",
            "  judge: {endpoint: 'sandbox://llm/v1', model: m}\n",
            "evaluation.judge.endpoint: a sandbox does not judge",
        ),
        (
            "{tone: {type: llm_judge, rubric: x}}",
            "  judge: {endpoint: 'https://e.com/v1?key=secret', model: m}\n",
            "evaluation.judge.endpoint: the URL carries a key",
        ),
        (
            "{a: {assert: [{type: g-eval, value: x}]}}",
            "",
            "evaluation.metrics.a.assert[0].type: 'g-eval': expected llm-rubric, with the criteria as value",
        ),
    ],
)
def test_what_is_missing_is_named(load: Loads, metrics: str, more: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        study_with(load, metrics, more)

    assert message in str(caught.value)


def test_a_case_may_need_a_judge_as_well(load: Loads) -> None:
    cases = "[{q: 1, assert: {type: llm-rubric, value: x}}]"

    with pytest.raises(SpecError, match=r"evaluation\.judge: required"):
        study_with(load, "{a: {function: assert}}", "", cases)


def test_its_secrets_are_asked_for_by_name(load: Loads) -> None:
    study = study_with(load, "{tone: {type: llm_judge, rubric: x}}", f"  judge: {JUDGE}\n")

    assert [str(problem) for problem in missing_environment(study.spec, {})] == [
        "evaluation.judge.auth.token_env: environment variable JUDGE_KEY is not set; expected the secret for calls",
        "evaluation.judge.endpoint: environment variable HOST is not set; expected a part of the URL",
    ]
    assert study.lines["evaluation", "judge", "auth", "token_env"] == 6


def test_what_decides_on_a_grade_is_part_of_the_study_and_what_it_costs_is_not(load: Loads) -> None:
    def digest_of(judge: str) -> str:
        return study_with(load, "{tone: {type: llm_judge, rubric: x}}", f"  judge: {judge}\n").digest

    own = digest_of(JUDGE)

    assert digest_of(JUDGE.replace("model: m", "model: n")) != own
    assert digest_of(JUDGE.replace("model: m", "model: m, votes: 3")) != own
    assert digest_of(JUDGE.replace("model: m", "model: m, prices: {per_call_usd: 1}, max_retries: 1")) == own
    assert digest_of(JUDGE.replace("JUDGE_KEY", "OTHER_KEY")) == own
