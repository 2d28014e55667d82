"""`convergence augment`: more cases by a model, and what it says of them."""

import json
from pathlib import Path

import pytest
import yaml

from tests.integration.test_study_judged import KEY, JudgeServer, judging
from tests.study_runs import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path, environ={"JUDGE_KEY": KEY})


def write_study(folder: Folder, judge: JudgeServer) -> None:
    study = {
        "api": {"name": "x", "endpoint": "https://example.com/v1/chat/completions"},
        "search_space": {"parameters": {"model": ["a", "b"]}},
        "evaluation": {
            "test_cases": {
                "inline": [{"id": f"c{n}", "prompt": f"Name city {n}", "expected": "Rome"} for n in range(3)],
                "augmentation": {
                    "augmentation_factor": 2,
                    "model": {
                        "endpoint": judge.url,
                        "model": "writer",
                        "auth": {"type": "bearer", "token_env": "JUDGE_KEY"},
                        "parameters": {"max_tokens": 100},
                        "prices": {"per_call_usd": 0.01},
                    },
                },
            },
            "metrics": {"quality": {"function": "contains"}},
        },
    }
    (folder.path / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))


def test_cases_are_reworded_checked_and_counted(folder: Folder) -> None:
    with judging() as judge:
        write_study(folder, judge)
        judge.content = json.dumps({"text": "Which city is number 1?", "same": True})

        done = folder.call("augment", "study.yaml", "-o", "more.json")
        poor = folder.call("augment", "study.yaml", "-o", "less.json", "--usd", "0.05")
        again = folder.call("augment", "study.yaml", "-o", "more.json")

    written = json.loads((folder.path / "more.json").read_text())["test_cases"]
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "more.json: 4 cases, 1 of 3 wanted made for $0.05",
        "  left out: 2 whose rewording changed a number, a quotation or an address",
        "read the new ones (their ids end in ~r1, ~r2, ...), then name the file in evaluation.test_cases.path",
    ]
    assert [case["id"] for case in written] == ["c0", "c1", "c2", "c1~r1"]
    assert written[3] == {
        "id": "c1~r1",
        "input": {"prompt": "Which city is number 1?"},
        "expected": "Rome",
        "metadata": {"augmented_from": "c1"},
    }
    assert "stopped: one more could cost more than --usd allows" in poor.out
    assert again.err.strip() == "error: more.json exists; choose another name with -o, or write over it with --force"
    assert KEY not in done.out + (folder.path / "more.json").read_text()


def test_without_a_model_or_its_key_it_says_so(folder: Folder) -> None:
    with judging() as judge:
        write_study(folder, judge)
        keyless = Folder(path=folder.path).call("augment", "study.yaml", "-o", "more.json")

    assert keyless.code == 2
    assert "environment variable JUDGE_KEY is not set" in keyless.err
