"""What a study needs from outside, and what identifies it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.spec.environment import missing_environment, resolve_endpoint
from convergence_cluster.spec.loading import LoadedStudy

Loads = Callable[[str], LoadedStudy]

TEXT = """\
api: {name: x, endpoint: "https://${REGION}.example.com/${VERSION:-v1}", auth: {type: none}}
evaluation: {test_cases: cases.json, metrics: {accuracy: 1, latency: 1}}
search_space: {parameters: {a: [1, 2], b: [x, y]}}
"""


@pytest.mark.parametrize(
    ("auth", "names"),
    [
        ("{type: none}", ["REGION"]),
        ("{type: bearer, token_env: KEY}", ["KEY", "REGION"]),
        ("{type: api_key, token_env: KEY}", ["KEY", "REGION"]),
        ("{type: basic, username: me, password_env: PW}", ["PW", "REGION"]),
        ("{type: basic, username_env: ME, password_env: PW}", ["ME", "PW", "REGION"]),
        ("{type: oauth, token_url: 'https://t', client_id_env: ID, client_secret_env: S}", ["ID", "S", "REGION"]),
        ("{type: oauth, token_env: KEY}", ["KEY", "REGION"]),
    ],
)
def test_missing_variables_are_named_with_their_keys(load: Loads, auth: str, names: list[str]) -> None:
    spec = load(TEXT.replace("{type: none}", auth)).spec

    problems = missing_environment(spec, {"EMPTY": ""})

    assert [str(problem).split(" ")[3] for problem in problems] == names
    assert missing_environment(spec, dict.fromkeys(names, "value")) == []


def test_an_endpoint_takes_variables_and_defaults() -> None:
    endpoint = "https://${REGION}.example.com/${VERSION:-v1}"

    assert resolve_endpoint(endpoint, {"REGION": "eu"}) == "https://eu.example.com/v1"
    assert resolve_endpoint(endpoint, {"REGION": "eu", "VERSION": "v2"}) == "https://eu.example.com/v2"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "api.endpoint: environment variable REGION is not set; expected a part of the URL"),
        ({"REGION": "e u"}, "api.endpoint: after environment variables: expected a URL without blanks"),
    ],
)
def test_an_endpoint_that_comes_to_nothing_is_refused(environment: dict[str, str], expected: str) -> None:
    with pytest.raises(SpecError) as caught:
        resolve_endpoint("https://${REGION}.example.com", environment)

    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{name: x,", "{description: other, rate: {rpm: 3}, prices: {per_call_usd: 1}, name: x,"),
        ("evaluation:", "budget: {usd: 1}\nevaluation:"),
        ("evaluation:", "output: {save_path: there}\nlegacy: {enabled: false}\nevaluation:"),
        ("evaluation:", "optimization: {execution: {parallel_workers: 50, max_retries: 1}}\nevaluation:"),
        ("{type: none}", "{type: bearer, token_env: KEY}"),
    ],
)
def test_pace_money_and_output_leave_the_study_the_same(load: Loads, old: str, new: str) -> None:
    assert load(TEXT.replace(old, new)).digest == load(TEXT).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("example.com", "example.org"),
        ("a: [1, 2]", "a: [1, 3]"),
        ("a: [1, 2], b: [x, y]", "b: [x, y], a: [1, 2]"),
        ("accuracy: 1", "accuracy: 2"),
        ("evaluation:", "optimization: {seed: 7}\nevaluation:"),
        ("cases.json", "{path: cases.json, holdout: 0.2}"),
    ],
)
def test_what_decides_an_answer_makes_another_study(load: Loads, old: str, new: str) -> None:
    assert load(TEXT.replace(old, new)).digest != load(TEXT).digest


def test_another_text_in_a_file_makes_another_study(load: Loads, folder: Path) -> None:
    text = TEXT.replace("a: [1, 2]", "a: {template: 'prompts/*.md'}").replace(
        "test_cases:", "custom_evaluator: {module: scorer}, test_cases:"
    )
    digests = {load(text).digest}
    for name, addition in (("prompts/v1.md", "!"), ("scorer.py", "\n"), ("cases.json", " ")):
        (folder / name).write_text((folder / name).read_text() + addition)
        digests.add(load(text).digest)

    assert len(digests) == 3, "blanks around the cases change nothing"


def test_a_loaded_study_holds_no_secret(load: Loads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "canary-7f3a")
    study = load(TEXT.replace("{type: none}", "{type: bearer, token_env: KEY}"))

    assert "canary-7f3a" not in repr(dataclasses.asdict(study))
