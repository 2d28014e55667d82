"""A promptfoo file, imported by the command line and run as it came out."""

import json
from pathlib import Path

import pytest
import yaml

from tests.study_runs import Folder, serving_llm


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path, environ={"OPENAI_API_KEY": "none"})


def test_an_imported_study_runs(folder: Folder) -> None:
    with serving_llm("--latency-ms", "5") as server:
        base_url = server.endpoint.removesuffix("/chat/completions")
        config = {
            "prompts": ["{{question}}", "Be brief. {{question}}"],
            "providers": [
                {"id": f"openai:{model}", "config": {"apiBaseUrl": base_url, "max_tokens": 200}}
                for model in ("sim-small", "sim-large")
            ],
            "defaultTest": {"assert": [{"type": "latency", "threshold": 5000}]},
            "tests": [
                {"vars": {"question": f"What is {n} + {n}?"}, "assert": [{"type": "not-contains", "value": "zebra"}]}
                for n in range(4)
            ],
        }
        (folder.path / "promptfooconfig.yaml").write_text(yaml.safe_dump(config))

        imported = folder.call("import", "promptfoo", "promptfooconfig.yaml")
        again = folder.call("import", "promptfoo", "promptfooconfig.yaml")
        validated = folder.call("validate", "study.yaml")
        ran = folder.call("optimize", "study.yaml", "-q")

    assert imported.code == 0, imported.err
    assert "study.yaml: a study from promptfooconfig.yaml" in imported.out
    assert (again.code, again.err.strip()) == (
        1,
        "error: study.yaml exists; choose another name with -o, or write over it with --force",
    )
    assert validated.code == 0, validated.err
    assert ran.code == 0, ran.err
    best = json.loads((folder.path / "results" / "best_config.json").read_text())["config"]
    assert best["prompt_template"] in {"{{case.question}}", "Be brief. {{case.question}}"}
    assert {row["kind"] for row in folder.books().calls.values()} <= {"ok", "truncated"}
