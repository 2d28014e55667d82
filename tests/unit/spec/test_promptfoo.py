"""Studies made of promptfoo's files."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.loading import LoadedStudy, loads
from convergence_cluster.spec.promptfoo import Imported, import_promptfoo

BASE: dict[str, Any] = {
    "prompts": ["Say {{word}} in {{ language | upper }}."],
    "providers": ["openai:gpt-4.1-mini"],
    "tests": [{"vars": {"word": "hi", "language": "French"}, "assert": [{"type": "icontains", "value": "salut"}]}],
}


def imported(folder: Path, *, text: str | None = None, **changes: Json) -> tuple[Imported, LoadedStudy]:
    path = folder / "promptfooconfig.yaml"
    path.write_text(text if text is not None else yaml.safe_dump(BASE | changes, sort_keys=False))
    found = import_promptfoo(path, folder=folder)
    return found, loads(found.text(path.name), name="study.yaml", directory=folder)


def test_providers_prompts_variables_and_assertions_become_a_study(tmp_path: Path) -> None:
    found, study = imported(
        tmp_path,
        providers=[
            "openai:chat:gpt-4o",
            {"id": "openai:gpt-4.1-mini", "config": {"temperature": 0.2, "max_tokens": 64}},
            {"openai:gpt-4.1-nano": {"config": {"temperature": 0.7, "max_tokens": 64}}},
        ],
        defaultTest={"assert": [{"type": "latency", "threshold": 3000}], "vars": {"word": "bye"}},
        tests=[{"vars": {"language": ["French", "Dutch"]}, "assert": [{"type": "not-is-json", "metric": "form"}]}],
        evaluateOptions={"maxConcurrency": 3},
    )
    parameters = {parameter.name: parameter for parameter in study.space.parameters}

    assert found.remarks == ()
    assert study.spec.api.endpoint == "https://api.openai.com/v1/chat/completions"
    assert study.spec.api.auth.token_env == "OPENAI_API_KEY"
    assert parameters["model"].values == ("gpt-4o", "gpt-4.1-mini", "gpt-4.1-nano")
    assert parameters["temperature"].values == (0.2, 0.7)
    assert parameters["temperature"].when == {"model": ("gpt-4.1-mini", "gpt-4.1-nano")}
    assert parameters["prompt_template"].values == ("Say {{case.word}} in {{ case.language | upper }}.",)
    assert [case.input for case in study.cases] == [
        {"word": "bye", "language": "French"},
        {"word": "bye", "language": "Dutch"},
    ]
    assert [(metric.name, metric.function, metric.weight) for metric in study.metrics] == [
        ("quality", "assert", 0.5),
        ("form", "assert", 0.5),
        ("latency_ms", "measured", 0.0),
    ]
    assert study.metrics[0].options["assert"] == [{"type": "latency", "threshold": 3000}]
    assert study.spec.optimization.execution.parallel_workers == 3
    assert study.max_calls == 3 * 2 * 1 * 2 * 1


@pytest.mark.parametrize(
    ("provider", "kind", "model", "variable"),
    [
        ("anthropic:messages:claude-haiku-4-5", "anthropic", "claude-haiku-4-5", "ANTHROPIC_API_KEY"),
        ("openai:responses:gpt-5", "openai-responses", "gpt-5", "OPENAI_API_KEY"),
        ("google:gemini-2.5-flash", "gemini", "gemini-2.5-flash", "GOOGLE_API_KEY"),
        ("groq:llama-3.1-8b-instant", "groq", "llama-3.1-8b-instant", "GROQ_API_KEY"),
        ("mistral:mistral-small-latest", "mistral", "mistral-small-latest", "MISTRAL_API_KEY"),
        ("openrouter:meta/llama:free", "openrouter", "meta/llama:free", "OPENROUTER_API_KEY"),
        ("togetherai:chat:x/y", "together", "x/y", "TOGETHER_API_KEY"),
        ("ollama:chat:llama3.2:3b", "ollama", "llama3.2:3b", None),
    ],
)
def test_vendors_are_known_by_their_names(
    tmp_path: Path, provider: str, kind: str, model: str, variable: str | None
) -> None:
    _, study = imported(tmp_path, providers=provider)

    assert study.spec.api.provider == kind
    assert study.spec.search_space.parameters["model"].values == (model,)
    assert study.spec.api.auth.token_env == variable


def test_prompts_may_stand_in_files_several_in_one_or_as_messages(tmp_path: Path) -> None:
    (tmp_path / "two.txt").write_text("First {{word}}\n---\nSecond\nline\n")
    (tmp_path / "chat.json").write_text(json.dumps([{"role": "user", "content": "Say {{word}}"}]))

    _, texts = imported(tmp_path, prompts=["file://two.txt", {"raw": "Third", "label": "three"}])
    _, dialogue = imported(tmp_path, prompts=["file://chat.json"])

    assert texts.spec.search_space.parameters["prompt_template"].values == (
        "First {{case.word}}",
        "Second\nline",
        "Third",
    )
    assert dialogue.spec.api.request.body == {"messages": [{"role": "user", "content": "Say {{case.word}}"}]}


def test_a_list_that_is_no_choice_of_texts_is_one_value(tmp_path: Path) -> None:
    history = [{"user": "hi"}, {"assistant": "hello"}]
    tests: list[Json] = [
        {"vars": {"word": ["a", "b"], "history": history}},
        {"vars": {"word": ["a", "b"]}, "options": {"disableVarExpansion": True}},
    ]

    found, study = imported(tmp_path, tests=tests)

    assert [case.input for case in study.cases] == [
        {"word": "a", "history": history},
        {"word": "b", "history": history},
        {"word": ["a", "b"]},
    ]
    assert [line for line in found.remarks if "nothing is asserted" not in line] == []


def test_what_a_template_would_make_of_messages_is_said_to_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text('[{% for m in history %}{"role": "user"},{% endfor %}]')
    rubric = {"type": "llm-rubric", "value": "kind", "rubricPrompt": "Judge by {{output}}"}

    found, _ = imported(
        tmp_path, prompts=["file://chat.json", "x"], tests=[{"vars": {"word": "a"}, "assert": [rubric]}]
    )

    assert "prompts[0]: chat.json: messages that a template makes; not carried over" in found.remarks[0]
    assert "rubricPrompt: not carried over; put what it asks for into value" in found.remarks[2]


def test_tests_may_stand_in_tables_with_their_expectations(tmp_path: Path) -> None:
    (tmp_path / "tests.csv").write_text(
        "word,language,__expected,__expected2,__description,__metric\n"
        'hi,French,"contains-any: salut, bonjour",not-similar(0.9): hey,first,warmth\n'
        "hi,Dutch,hoi: you,latency: 500,,\n"
        "hi,Greek,grade: is kind,levenshtein(2): geia,,\n"
    )
    _, study = imported(tmp_path, tests="file://tests.csv")

    assert [list(case.asserts) for case in study.cases] == [
        [
            {"type": "contains-any", "value": ["salut", "bonjour"], "metric": "warmth"},
            {"type": "not-similar", "value": "hey", "threshold": 0.9, "metric": "warmth"},
        ],
        [{"type": "equals", "value": "hoi: you"}, {"type": "latency", "threshold": 500.0}],
        [{"type": "llm-rubric", "value": "is kind"}, {"type": "levenshtein", "value": "geia", "threshold": 2.0}],
    ]
    assert study.cases[0].metadata["description"] == "first"
    assert study.spec.evaluation.embeddings is not None


def test_a_threshold_of_a_test_makes_it_pass_or_fail(tmp_path: Path) -> None:
    test = {"vars": {"word": "x"}, "threshold": 0.5, "assert": [{"type": "is-json"}, {"type": "is-xml"}]}
    _, study = imported(tmp_path, tests=[test])

    assert study.cases[0].asserts == (
        {"type": "assert-set", "threshold": 0.5, "assert": [{"type": "is-json"}, {"type": "is-xml"}]},
    )


def test_graders_become_the_judge(tmp_path: Path) -> None:
    rubric = [{"type": "llm-rubric", "value": "is kind to {{word}}"}]
    tests: list[Json] = [{"vars": {"word": "x"}, "assert": rubric}]
    own, named = (
        imported(tmp_path, tests=tests),
        imported(tmp_path, tests=tests, defaultTest={"options": {"provider": "anthropic:messages:claude-sonnet-4-5"}}),
    )

    assert own[0].remarks == (
        "promptfooconfig.yaml:5: tests: promptfoo's own choice of a grader: openai:chat:gpt-4.1 stands for it",
    )
    judge = named[1].spec.evaluation.judge
    assert judge is not None
    assert (judge.provider, judge.model, judge.auth.token_env) == (
        "anthropic",
        "claude-sonnet-4-5",
        "ANTHROPIC_API_KEY",
    )


REMARKED = """\
prompts: [file://none.txt, "x {{word}}", file://made.py]
providers:
  - openai:gpt-4o
  - id: anthropic:messages:claude-haiku-4-5
  - file://own.js
defaultTest:
  options: {transform: output.trim()}
tests:
  - vars: {word: x}
    assert:
      - {type: javascript, value: "1"}
      - {type: g-eval, value: [kind, short]}
      - {type: is-sql}
      - {type: cost}
      - {type: contains, value: x, transform: y}
  - file://tests.js
  - provider: openai:gpt-4o
    vars: {word: y}
evaluateOptions: {repeat: 3}
scenarios: []
"""


def test_what_cannot_be_carried_over_is_named_with_its_line(tmp_path: Path) -> None:
    found, study = imported(tmp_path, text=REMARKED)

    assert [line.removeprefix("promptfooconfig.yaml:") for line in found.remarks] == [
        "1: prompts[0]: file://none.txt: no such file; not carried over",
        "1: prompts[2]: file://made.py: a prompt made by a program; not carried over",
        "4: providers[1]: claude-haiku-4-5: another API than the first; a study has one, import it apart",
        "5: providers[2]: file://own.js: describe it as `api` (provider: http, or function); not carried over",
        "7: defaultTest.options.transform: not carried over",
        "8: tests: promptfoo's own choice of a grader: openai:chat:gpt-4.1 stands for it",
        (
            "11: tests[0].assert[0]: 'javascript': JavaScript is not run here; write it in Python as type: python; not "
            "carried over"
        ),
        "12: tests[0].assert[1]: g-eval: carried over as llm-rubric; read its wording",
        "13: tests[0].assert[2]: 'is-sql': expected a check of your own as type: python; not carried over",
        "14: tests[0].assert[3]: cost: required for cost: the most allowed, in USD; not carried over",
        "15: tests[0].assert[4].transform: not carried over",
        "16: tests[1]: file://tests.js: save its tests as CSV, JSON or YAML; not carried over",
        "17: tests[2].provider: not carried over",
        "19: evaluateOptions.repeat: not carried over",
        "20: scenarios: not carried over",
    ]
    assert all(f"#   {line}" in found.text("x") for line in found.remarks)
    assert [each["type"] for each in study.cases[0].asserts] == ["llm-rubric", "contains"]
    assert study.cases[0].asserts[0]["value"] == "- kind\n- short"


def test_templates_of_assertions_are_followed_and_files_stay_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text("def get_assert(output, context): return True\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "promptfooconfig.yaml").write_text(
        yaml.safe_dump(
            BASE
            | {
                "assertionTemplates": {"mine": {"type": "python", "value": "file://check.py"}},
                "tests": [{"vars": {"word": "x"}, "assert": [{"$ref": "#/assertionTemplates/mine"}]}],
            }
        )
    )
    found = import_promptfoo(tmp_path / "promptfooconfig.yaml", folder=tmp_path / "out")
    study = loads(found.text("x"), directory=tmp_path / "out")

    assert study.cases[0].asserts == ({"type": "python", "value": "file://../check.py"},)
    assert study.files == {"../check.py": (tmp_path / "check.py").read_text()}


def test_a_file_without_any_api_that_is_known_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SpecError, match=r"promptfooconfig.yaml:3: providers: no provider that can be carried over; expe"
    ):
        imported(tmp_path, providers=["exec: ./run.sh"])
    with pytest.raises(SpecError, match="expected a promptfoo configuration"):
        imported(tmp_path, text="- 1\n")


def test_a_key_that_stands_in_the_file_is_not_copied(tmp_path: Path) -> None:
    provider = {"id": "openai:gpt-4o", "config": {"apiKey": "sk-canary-1234567890", "apiKeyEnvar": "MY_KEY"}}

    found, study = imported(tmp_path, providers=[provider])

    assert "canary" not in found.text("x")
    assert study.spec.api.auth.token_env == "MY_KEY"
    assert "a key is named by its environment variable" in found.remarks[0]
