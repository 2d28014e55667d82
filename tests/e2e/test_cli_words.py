"""The command line as its user types it: words, exit codes, and one line for whatever is wrong."""

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from convergence_cluster.cli import COMMANDS
from tests.study_runs import ROOT, Finished, Folder

STUDY: dict[str, Any] = {
    "api": {"name": "x", "endpoint": "http://127.0.0.1:1/v1", "auth": {"type": "none"}},
    "search_space": {"parameters": {"model": ["a", "b"], "heat": {"type": "float", "min": 0, "max": 1}}},
    "evaluation": {
        "test_cases": [{"input": {"prompt": "2 + 2?"}, "expected": "4"}],
        "metrics": {"quality": {"weight": 1, "function": "contains"}},
    },
}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path)


def changed(change: Callable[[dict[str, Any]], object]) -> str:
    document = yaml.safe_load(yaml.safe_dump(STUDY))
    change(document)
    return yaml.safe_dump(document, sort_keys=False)


def is_one_line(finished: Finished) -> bool:
    return finished.err.startswith("error: ") and finished.err.count("\n") == 1 and "Traceback" not in finished.err


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_says_what_it_does(folder: Folder, command: str) -> None:
    found = folder.run(command, "--help")

    assert found.code == 0
    assert found.out.startswith(f"usage: convergence {command}")
    assert COMMANDS[command][1:] in " ".join(found.out.split())
    assert found.err == ""


def test_version_and_help_answer_without_the_heavy_imports(folder: Folder) -> None:
    code = """
import atexit, sys
from convergence_cluster import cli
atexit.register(lambda: print([m for m in ("numpy", "sqlalchemy", "pydantic", "httpx", "optuna") if m in sys.modules]))
cli.main(["--help"])
"""

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)

    assert found.stdout.splitlines()[-1] == "[]"
    assert folder.run("--version").out.startswith("convergence ")
    assert folder.run("version").out.startswith("convergence ")


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("optimise",),
        ("optimize",),
        ("optimize", "study.yaml", "--seed", "seven"),
        ("optimize", "study.yaml", "--seed", "-1"),
        ("optimize", "study.yaml", "--fail-if", "quality is bad"),
        ("optimize", "study.yaml", "--fail-if", "qualty < 0.9"),
        ("legacy",),
        ("compare", "one"),
    ],
)
def test_wrong_words_exit_with_2(folder: Folder, words: tuple[str, ...]) -> None:
    (folder.path / "study.yaml").write_text(changed(lambda _: None))

    found = folder.call(*words)

    assert found.code == 2
    assert "Traceback" not in found.err
    assert "usage: convergence" in found.err + found.out or is_one_line(found)
    assert not (folder.path / ".convergence").exists()


BROKEN = {
    "no such file": (None, "study.yaml"),
    "empty": ("", "study.yaml"),
    "no mapping": ("- a\n- b\n", "study.yaml"),
    "no YAML": ("api: {name: x\n", "study.yaml:"),
    "binary": ("\x00\x01\x02", "study.yaml"),
    "twice": ("api: {}\napi: {}\n", "duplicate key 'api'"),
    "bomb": ("a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(40)), "study.yaml"),
    "unknown key": (changed(lambda d: d["api"].update(endpont="x")), "endpont"),
    "no endpoint": (changed(lambda d: d["api"].pop("endpoint")), "endpoint"),
    "key in file": (changed(lambda d: d["api"].update(auth={"type": "bearer", "token_env": "sk-1"})), "token_env"),
    "no key": (changed(lambda d: d["api"].update(auth={"type": "bearer", "token_env": "NOT_SET"})), "NOT_SET"),
    "range": (changed(lambda d: d["search_space"]["parameters"]["heat"].update(min=2)), "heat"),
    "no cases": (changed(lambda d: d["evaluation"].update(test_cases="nowhere.json")), "nowhere.json"),
    "nobody": (changed(lambda d: d["evaluation"].update(metrics={"charm": {"weight": 1}})), "charm"),
    "weights": (changed(lambda d: d["evaluation"]["metrics"]["quality"].update(weight=-1)), "weight"),
    "evaluator": (
        changed(lambda d: d["evaluation"].update(custom_evaluator={"module": "nothing", "function": "f"})),
        "nothing",
    ),
    "no price": (changed(lambda d: d.update(budget={"usd": 1})), "budget.usd"),
    "provider": (changed(lambda d: d["api"].update(provider="opnai")), "opnai"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_study_is_one_line_and_exits_with_2(folder: Folder, name: str) -> None:
    text, expected = BROKEN[name]
    if text is not None:
        (folder.path / "study.yaml").write_text(text)

    found = folder.call("optimize", "study.yaml")

    assert found.code == 2
    assert is_one_line(found), found.err
    assert expected in found.err
    assert found.out == ""


@pytest.mark.parametrize("command", ["status", "resume", "report"])
def test_without_a_study_there_is_nothing_to_do(folder: Folder, command: str) -> None:
    found = folder.call(command)

    assert (found.code, "no study yet" in found.out) == (0, True) if command == "status" else (1, False)
    assert command == "status" or is_one_line(found)


def test_a_password_of_the_database_is_never_printed(folder: Folder) -> None:
    known = Folder(
        path=folder.path, environ={"CONVERGENCE_DATABASE_URL": "postgresql://me:hunter22@127.0.0.1:1/nothing"}
    )

    done = [known.call(*words) for words in (("info",), ("resume",), ("status",))]

    assert [finished.code for finished in done] == [0, 1, 1]
    assert all("hunter22" not in finished.out + finished.err for finished in done)
    assert is_one_line(done[1])


def test_a_file_that_is_no_database_is_one_line(folder: Folder) -> None:
    (folder.path / ".convergence").mkdir()
    (folder.path / ".convergence" / "convergence.db").write_text("this is not a database, but it is long enough" * 100)
    (folder.path / "study.yaml").write_text(changed(lambda _: None))

    done = [folder.call(*words) for words in (("status",), ("optimize", "study.yaml"))]

    assert [finished.code for finished in done] == [1, 1]
    assert all(is_one_line(finished) and "is not an SQLite database" in finished.err for finished in done)


def test_a_database_of_a_newer_release_is_one_line(folder: Folder) -> None:
    assert folder.call("status").code == 0
    connection = sqlite3.connect(folder.path / ".convergence" / "convergence.db")
    with connection:
        connection.execute("UPDATE convergence_schema SET version = 99")
    connection.close()

    found = folder.call("status")

    assert found.code == 1
    assert is_one_line(found)
    assert "newer release" in found.err


def test_a_folder_that_cannot_be_written_is_one_line(folder: Folder) -> None:
    (folder.path / "study.yaml").write_text(changed(lambda _: None))
    (folder.path / "taken").write_text("a file where a folder should be")

    found = Folder(path=folder.path, environ={"CONVERGENCE_HOME": "taken"}).call("optimize", "study.yaml")

    assert found.code == 1
    assert is_one_line(found)
    assert "cannot be created" in found.err


def test_a_read_only_folder_is_one_line(folder: Folder) -> None:
    """The kernel's own file systems are read-only even for root."""
    (folder.path / "study.yaml").write_text(changed(lambda _: None))

    found = Folder(path=folder.path, environ={"CONVERGENCE_HOME": "/proc/nothing"}).call("optimize", "study.yaml")

    assert found.code == 1
    assert is_one_line(found)


def test_a_wrong_setting_is_one_line(folder: Folder) -> None:
    found = Folder(path=folder.path, environ={"CONVERGENCE_LOG_LEVEL": "loud"}).call("status")

    assert found.code == 1
    assert is_one_line(found)
    assert "debug, info, warning, error" in found.err


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("legacy", "list"), "List the families of studies that learn from each other."),
        (("legacy", "show"), "Show what a family knows: its studies and their best configurations."),
        (("legacy", "export"), "Write everything as JSON, or a family as CSV."),
        (("legacy", "import"), "Take in an exported JSON file, or the legacy.db of an older release."),
        (("cache", "info"), "Say where answers are kept, how many, and since when."),
        (("cache", "prune"), "Forget answers and give back their disk space."),
    ],
)
def test_every_verb_says_what_it_does(folder: Folder, words: tuple[str, ...], what: str) -> None:
    found = folder.run(*words, "--help")

    assert found.code == 0
    assert what in " ".join(found.out.split())
