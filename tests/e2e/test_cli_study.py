"""Studies through the command line: what it prints, what it writes, how it ends."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.study_runs import EVALUATOR, KEPT_VARIABLES, ROOT, Folder, Server, predecessor_study, serving_llm

ESCAPE = "\x1b"
SHIPPED_FORMATS = ("best_config.json", "detailed_results.json", "experiments.csv", "report.html", "report.md")


@pytest.fixture(scope="module")
def any_server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "5", "--seed", "3") as started:
        yield started


@pytest.fixture
def server(any_server: Server) -> Server:
    any_server.reset()
    return any_server


@pytest.fixture
def folder(tmp_path: Path, server: Server) -> Folder:
    prepared = Folder(path=tmp_path)
    prepared.write(small_study(server))
    return prepared


def small_study(server: Server, **changes: object) -> dict[str, Any]:
    study = predecessor_study(server, parallel_workers=8) | {"budget": {"calls": 80}}
    return study | changes


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_json_lines_agree_with_the_files(folder: Folder) -> None:
    found = folder.call("optimize", "study.yaml", "--json", "-o", "elsewhere", "--seed", "5")

    *progress, answer = found.lines
    assert (found.code, found.err) == (0, "")
    assert {line["event"] for line in progress} == {"progress"}
    assert progress[-1]["final"]
    assert answer["event"] == "answer"
    assert answer["calls"] == progress[-1]["calls"] == 80
    assert answer["best_config"] == folder.best_config("elsewhere")
    best = json.loads((folder.path / "elsewhere" / "best_config.json").read_text())
    assert best["_README"]["score_achieved"] == pytest.approx(answer["score"]["mean"], abs=1e-6)
    assert {Path(name).relative_to("elsewhere") for name in answer["files"]} == {
        Path(name) for name in contents(folder.path / "elsewhere")
    }
    assert set(SHIPPED_FORMATS) <= {path.name for path in (folder.path / "elsewhere").iterdir()}
    assert not (folder.path / "results").exists()


def test_piped_output_has_no_escape_codes_and_ends_with_the_answer(folder: Folder) -> None:
    found = folder.run("optimize", "study.yaml", FORCE_COLOR="")
    status = folder.run("status")

    assert found.code == status.code == 0
    assert ESCAPE not in found.out + found.err + status.out
    assert "Best config:" in found.out
    assert found.out.splitlines()[-1].split() == ["Results", "in:", "results"]
    assert re.search(r"crash-test-[0-9a-f]{4}\s+here\s+finished, budget_calls\s+80\s", status.out)


def test_a_terminal_shows_the_study_live_and_is_left_clean(folder: Folder, server: Server) -> None:
    folder.write(small_study(server, budget={"calls": 600}))
    text, code = in_terminal(folder, "optimize", "study.yaml")

    assert code == 0
    assert "in flight" in text
    assert "best so far" in text
    assert text.count(f"{ESCAPE}[?25l") == text.count(f"{ESCAPE}[?25h") > 0
    assert "Traceback" not in text
    after = text[text.rindex(f"{ESCAPE}[?25h") :]
    assert "Best config:" in after
    assert after.replace(f"{ESCAPE}[?25h", "").count("in flight") == 0


def in_terminal(folder: Folder, *words: str) -> tuple[str, int]:
    """Run the command line in a pseudo-terminal; return everything it wrote there, and its exit code."""
    ours, theirs = pty.openpty()
    environ = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "convergence_cluster.cli", *words],
        cwd=folder.path,
        env={**environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    chunks = []
    try:
        while chunk := os.read(ours, 65536):
            chunks.append(chunk)
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    return b"".join(chunks).decode(), process.wait(30)


def test_a_condition_that_holds_exits_with_4(folder: Folder) -> None:
    held = folder.call("optimize", "study.yaml", "--quiet", "--fail-if", "quality < 2", "--fail-if", "score < 0")
    not_held = folder.call("optimize", "study.yaml", "--new", "--quiet", "--fail-if", "calls_per_s < 0")

    assert held.code == 4
    assert re.fullmatch(r"fail-if: quality < 2 holds: quality is 0\.\d+\n", held.err)
    assert not_held.code == 2


def test_reports_are_written_again_the_same(folder: Folder) -> None:
    assert folder.call("optimize", "study.yaml", "--quiet").code == 0
    first = contents(folder.path / "results")
    (folder.path / "results" / "report.md").unlink()

    again = folder.call("report")
    (study,) = re.findall(r"crash-test-[0-9a-f]{4}", folder.call("status").out)
    elsewhere = folder.call("report", study, "-o", "elsewhere")

    assert again.code == elsewhere.code == 0
    assert contents(folder.path / "results") == first
    assert contents(folder.path / "elsewhere") == first


def test_two_studies_are_compared_by_their_ids(folder: Folder) -> None:
    for seed in ("1", "2"):
        assert folder.call("optimize", "study.yaml", "--quiet", "--seed", seed).code == 0
    studies = re.findall(r"crash-test-[0-9a-f]{4}", folder.call("status").out)

    compared = folder.call("compare", *studies)
    unknown = folder.call("compare", studies[0], "nothing-0000")

    assert compared.code == 0
    assert all(study in compared.out for study in studies)
    assert unknown.code == 1
    assert unknown.err.startswith("error: There is no study 'nothing-0000'")


def test_env_completes_the_shell_and_never_overrules_it(folder: Folder, server: Server) -> None:
    study = small_study(server)
    study["api"]["endpoint"] = "${CHAT_URL}"
    folder.write(study)
    (folder.path / ".env").write_text(f'# where\nexport CHAT_URL="{server.endpoint}"  # here\n')

    completed = folder.call("optimize", "study.yaml", "--quiet")
    n_requests = server.books()["requests"]
    overruled = Folder(path=folder.path, environ={"CHAT_URL": "http://127.0.0.1:1/v1"}).call(
        "optimize", "study.yaml", "--quiet", "--new"
    )

    assert (completed.code, n_requests) == (0, 80)
    assert overruled.code == 1
    assert server.books()["requests"] == 80


def test_results_that_could_not_be_written_are_told_before_the_first_call(folder: Folder, server: Server) -> None:
    (folder.path / "results").write_text("a file where a folder should be")

    found = folder.call("optimize", "study.yaml", "--quiet")

    assert found.code == 2
    assert re.fullmatch(
        r"error: study.yaml:\d+: output.save_path: results: .*/results is not a folder; .*\n", found.err
    )
    assert server.books()["requests"] == 0


def test_results_that_cannot_be_written_are_shown_and_can_be_written_elsewhere(folder: Folder, server: Server) -> None:
    spoiling = "from pathlib import Path\n(Path(__file__).parent / 'results').write_text('a file')\n" + EVALUATOR
    folder.write(small_study(server), evaluator=spoiling)

    found = folder.call("optimize", "study.yaml", "--quiet")
    again = folder.call("report", "-o", "elsewhere")

    assert found.code == 1
    assert "Best config:" in found.out
    cure = r"they are kept: convergence report crash-test-\S+ -o DIR\n"
    assert re.fullmatch(f"error: the results cannot be written to results: .*; {cure}", found.err)
    assert again.code == 0
    assert (folder.path / "elsewhere" / "report.md").is_file()


def test_what_was_learned_is_listed_shown_exported_and_imported(folder: Folder) -> None:
    assert folder.call("optimize", "study.yaml", "--quiet").code == 0

    listed = folder.call("legacy", "list")
    shown = folder.call("legacy", "show", "crash-test")
    whole = folder.call("legacy", "show", "crash-test", "--json")
    exported = folder.call("legacy", "export", "-o", "memory.json")
    winners = folder.call("legacy", "export", "--family", "crash-test", "-o", "csv")
    taken = folder.call("legacy", "--file", "other.db", "import", "memory.json")
    relisted = folder.call("legacy", "--file", "other.db", "list")

    assert [done.code for done in (listed, shown, exported, winners, taken, relisted)] == [0] * 6
    assert "crash-test: 1 study, 80 calls" in listed.out
    assert relisted.out == listed.out
    assert "model=" in shown.out
    assert "more: --json" in shown.out
    assert not re.search(r"[\[\]{}]", shown.out)
    document = json.loads(whole.out)
    assert (document["family"]["name"], len(document["studies"])) == ("crash-test", 1)
    assert len(document["studies"][0]["arms"]) > 5
    assert (folder.path / "csv" / "winners_crash-test.csv").read_text().startswith("test_case_id,")
    assert len(list((folder.path / "csv").glob("audit_crash-test-*.csv"))) == 1


@pytest.mark.parametrize(
    "words", [("legacy", "show", "nobody"), ("legacy", "import", "nothing.json"), ("report", "nothing-0000")]
)
def test_what_is_not_there_is_one_line(folder: Folder, words: tuple[str, ...]) -> None:
    found = folder.call(*words)

    assert found.code == 1
    assert found.err.startswith("error: ")
    assert found.err.count("\n") == 1
