"""Every shipped study as a start for one's own."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.drafting.evaluators import evaluator_text
from convergence_cluster.drafting.presets import draft_preset, preset, presets
from convergence_cluster.drafting.wishes import Wishes
from convergence_cluster.spec.loading import LoadedStudy, load_study

NAMES = [each.name for each in presets()]


def drafted(folder: Path, name: str, wishes: Wishes | None = None) -> LoadedStudy:
    for path, text in draft_preset(preset(name), wishes or preset(name).wishes).files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return load_study(folder / "study.yaml")


def shipped(name: str) -> LoadedStudy:
    return load_study(preset(name).folder / f"{name}.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_the_shipped_study_in_a_folder_of_its_own(name: str, tmp_path: Path) -> None:
    own, original = drafted(tmp_path, name), shipped(name)

    assert own.cases == original.cases
    assert [len(parameter.values) for parameter in own.space.parameters] == [
        len(parameter.values) for parameter in original.space.parameters
    ]
    assert {key: sorted(texts.values()) for key, texts in own.prompts.items()} == {
        key: sorted(texts.values()) for key, texts in original.prompts.items()
    }
    moved = {"name": name, "function": own.spec.api.function}
    assert own.spec.api == original.spec.api.model_copy(update=moved)
    assert own.spec.budget == original.spec.budget
    assert own.max_calls == original.max_calls
    assert [m.weight for m in own.metrics] == [m.weight for m in original.metrics]


@pytest.mark.parametrize("name", NAMES)
def test_every_wish_is_heard(name: str, tmp_path: Path) -> None:
    found = preset(name)
    wishes = Wishes(
        name="mine",
        endpoint="http://localhost:9/v1/chat/completions" if found.endpoint else None,
        key_env="MY_KEY",
        models=("a/1", "b:2") if found.models else (),
        goal="speed",
        usd=3.5,
        calls=77,
        workers=2,
    )

    study = drafted(tmp_path, name, wishes)

    by_name = {metric.name: metric.weight for metric in study.metrics}
    spec = study.spec
    assert spec.api.name == "mine"
    assert spec.output.save_path == "./results/mine"
    assert spec.api.endpoint == wishes.endpoint
    if found.key_env or "auth: {type: none}" in found.text:
        assert spec.api.auth.environment_names() == ("MY_KEY",)
    assert spec.budget.usd == (3.5 if found.has_usd else None)
    assert spec.optimization.execution.parallel_workers == 2
    assert study.max_calls == 77
    if "latency_ms" in by_name:
        assert by_name["latency_ms"] == max(by_name.values())
    if found.models:
        values = next(p.values for p in study.space.parameters if p.name == "model")
        assert values == ("a/1", "b:2")
        assert study.baseline["model"] == "a/1"


def test_comments_of_the_shipped_study_stay(tmp_path: Path) -> None:
    drafted(tmp_path, "openai")

    assert "# sent as max_completion_tokens, as OpenAI wants it" in (tmp_path / "study.yaml").read_text()


def test_presets_say_what_they_are() -> None:
    known = {each.name: each for each in presets()}

    assert NAMES[0] == "openai"
    assert known["openai"].what == "api.openai.com: model, system_prompt, max_tokens, temperature"
    assert known["quickstart"].what.startswith("a simulation on this machine, no key: model, ")
    assert known["anthropic"].key_env == "ANTHROPIC_API_KEY"
    assert known["ollama"].key_env is None
    assert known["azure"].models == ()  # its prices and URLs go by model


def test_the_variables_that_a_run_needs_are_named() -> None:
    draft = draft_preset(preset("azure"), preset("azure").wishes)

    assert draft.variables == ("AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY")


def test_a_preset_that_is_not_there_is_refused() -> None:
    with pytest.raises(SpecError, match=r"'opnai': expected one of openai, anthropic, "):
        preset("opnai")


def score(folder: Path, path: tuple[str, ...], result: Any, expected: Any) -> float:
    (folder / "evaluator.py").write_text(evaluator_text(path))
    spec = importlib.util.spec_from_file_location("written", folder / "evaluator.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return float(module.score_response(result, expected, {}))


CHAT = {"choices": [{"message": {"content": "It is PARIS."}}]}
BLOCKS = {"content": [{"type": "thinking"}, {"type": "text", "text": "It is Paris."}]}


@pytest.mark.parametrize(
    ("path", "result", "expected", "value"),
    [
        (("choices", "message", "content"), CHAT, "paris", 1.0),
        (("choices", "message", "content"), CHAT, "Rome", 0.0),
        (("content", "text"), BLOCKS, "Paris", 1.0),
        (("hits",), {"hits": ["a", "b"]}, ["a", "b"], 1.0),
        (("hits",), {"hits": []}, None, 0.0),
        (("hits",), {"hits": [1]}, None, 1.0),
        (("hits",), {"other": 1}, None, 0.0),
        ((), {"any": "thing"}, "thing", 1.0),
    ],
)
def test_the_written_evaluator_scores(
    path: tuple[str, ...], result: Any, expected: Any, value: float, tmp_path: Path
) -> None:
    assert score(tmp_path, path, result, expected) == value


def test_the_written_study_is_plain_yaml(tmp_path: Path) -> None:
    drafted(tmp_path, "gemini")

    assert isinstance(yaml.safe_load((tmp_path / "study.yaml").read_text()), dict)
