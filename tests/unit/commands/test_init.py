"""`convergence init` without a terminal: flags, defaults, refusals."""

import copy
import json
from pathlib import Path

import pytest

from convergence_cluster.cli import main
from convergence_cluster.commands import init
from convergence_cluster.commands.asking import Terminal
from tests.unit.drafting.test_openapi_draft import DOCUMENT


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["init", *words]) == code
    shown = capsys.readouterr()
    return shown.out + shown.err


def test_without_a_word_a_study_is_written_that_validates(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    shown = said(capsys, "--yes")

    assert sorted(path.name for path in (folder / "openai").iterdir()) == [
        "evaluator.py",
        "prompts",
        "study.yaml",
        "test_cases.json",
    ]
    assert "wrote openai/: study.yaml, test_cases.json, evaluator.py, prompts/ (2 files)" in shown
    assert "export OPENAI_API_KEY=..." in shown
    assert main(["validate", "--structure-only", "openai/study.yaml"]) == 0


def test_a_variable_that_is_set_is_not_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hidden-canary")

    shown = said(capsys, "--yes")

    assert "export" not in shown
    assert "hidden-canary" not in shown
    assert main(["validate", "openai/study.yaml"]) == 0


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "mine").mkdir()
    (folder / "mine" / "evaluator.py").write_text("mine")

    shown = said(capsys, "--yes", "-o", "mine", code=1)

    assert "mine/evaluator.py is there already; nothing was written" in shown
    assert [path.name for path in (folder / "mine").iterdir()] == ["evaluator.py"]
    assert (folder / "mine" / "evaluator.py").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_named(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "openai").write_text("a file")

    assert "openai: cannot be written" in said(capsys, "--yes", code=1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--key-env", "sk-proj-1234567890abcdefghij"), "expected the name of a variable such as MY_API_KEY, not the"),
        (("--key-env", "sk_live_1234567890abcdefghij"), "expected the name of a variable"),
        (("--name", "a/b"), "'a/b': expected letters, digits"),
        (("--usd", "0"), "'0': expected an amount in USD above 0"),
        (("--calls", "many"), "'many': expected a whole number above 0"),
        (("--usd-per-call", "-1"), "expected a price in USD from 0 on"),
        (("--preset", "openai", "--from-openapi", "x.yaml"), "not allowed with argument"),
    ],
)
def test_a_wrong_flag_is_refused_without_repeating_a_key(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["init", "--yes", *words])
    shown = capsys.readouterr().err

    assert ended.value.code == 2
    assert message in shown
    assert "1234567890" not in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "azure", "--endpoint", "https://x"), "the preset azure has no single URL"),
        (("--preset", "azure", "--models", "a,b"), "the preset azure has prices or conditions for each model"),
        (("--preset", "ollama", "--usd", "1"), "calls of the preset ollama have no price; limit them by --calls"),
        (("--operation", "query"), "--operation is about a document: give --from-openapi FILE|URL as well"),
        (("--usd-per-call", "1"), "--usd-per-call is about a document"),
        (("--from-openapi", "missing.yaml"), "missing.yaml: cannot be read: No such file"),
        (("--endpoint", "not a url"), "expected a URL"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    assert message in said(capsys, "--yes", *words, code=2)
    assert list(folder.iterdir()) == []


def test_a_document_gives_a_study_and_says_what_is_left_to_do(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "shop.json").write_text(json.dumps(DOCUMENT))

    listed = said(capsys, "--list", "--from-openapi", "shop.json")
    shown = said(capsys, "--yes", "--from-openapi", "shop.json", "--usd-per-call", "0.002", "--usd", "5")

    assert listed.startswith("POST /shops/{shop}/query  6 to search")
    assert "POST /shops/{shop}/query: the most to search of 1 operations" in shown
    assert "write 20 or more of your own" in shown
    assert "export SHOP_API_KEY=..." in shown
    assert "usd: 5, calls: 400" in (folder / "shop-query" / "study.yaml").read_text()


def test_a_wish_that_cannot_be_granted_is_refused(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    (folder / "shop.json").write_text(json.dumps(DOCUMENT))
    source = ("--yes", "--from-openapi", "shop.json")

    assert "--models: POST /shops/{shop}/query takes no model" in said(capsys, *source, "--models", "a", code=2)
    assert "give --usd-per-call as well" in said(capsys, *source, "--usd", "3", code=2)
    assert [path.name for path in folder.iterdir()] == ["shop.json"]


def answers(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    left = list(lines)

    def type_one() -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    monkeypatch.setattr("builtins.input", type_one)
    monkeypatch.setattr(init, "_terminal", lambda _: Terminal())


def test_questions_are_asked_again_until_the_answer_will_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    answers(
        monkeypatch,
        *("99", "groq", "support"),  # what, name
        *("", "gsk_1234567890abcdefghijkl", "MY_KEY"),  # where, key
        *("cheapest", "cost"),  # what counts
        *("$0.50", "", "8", ""),  # USD, calls, workers, folder
    )

    shown = said(capsys)

    study = (folder / "support" / "study.yaml").read_text()
    assert "'99': expected a number from 1 to" in shown
    assert "not the key" in shown
    assert "gsk_1234567890" not in shown
    assert "'cheapest': expected one of balanced, quality, speed, cost" in shown
    assert "token_env: MY_KEY" in study
    assert "budget: {usd: 0.5, calls: 400" in study
    assert "parallel_workers: 8" in study


def test_a_flag_answers_its_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    answers(monkeypatch, "", "")  # where, models

    choice = ("--preset", "openai", "--name", "x", "--key-env", "K", "--goal", "speed", "-o", "there")
    said(capsys, *choice, "--usd", "1", "--calls", "9", "--workers", "1")

    assert (folder / "there" / "study.yaml").is_file()


def test_the_end_of_the_input_writes_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    answers(monkeypatch, "openai")

    assert "interrupted" in said(capsys, code=130)
    assert list(folder.iterdir()) == []


def test_a_person_chooses_the_operation_of_a_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    (folder / "shop.json").write_text(json.dumps(DOCUMENT))
    answers(monkeypatch, "openapi", "shop.json", "1", *[""] * 3, "0.01", *[""] * 5)

    shown = said(capsys)

    assert "Shop search: 1 of 4 operations can be searched" in shown
    assert "prices: {per_call_usd: 0.01}" in (folder / "shop-query" / "study.yaml").read_text()


def test_models_that_a_document_does_not_name_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path
) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["components"]["schemas"]["Query"]["allOf"][1]["properties"]["model"] = {"type": "string"}
    (folder / "shop.json").write_text(json.dumps(document))
    answers(monkeypatch, *[""] * 4, "small, large", *[""] * 6)

    shown = said(capsys, "--from-openapi", "shop.json")

    assert "Which models shall it compare? [MODEL]" in shown
    assert "model: [small, large]" in (folder / "shop-query" / "study.yaml").read_text()
