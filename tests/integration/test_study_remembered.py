"""What comes after the search: the comparison on held-out cases, and what the next study starts from."""

import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from convergence_cluster.sandbox.landscapes import landscape
from convergence_cluster.sandbox.questions import as_test_cases
from tests.study_runs import Folder, Server, predecessor_study, serving_llm, wait_until


@pytest.fixture(scope="module")
def any_server() -> Iterator[Server]:
    with serving_llm("--landscape", "wide", "--latency-ms", "5", "--seed", "3") as started:
        yield started


@pytest.fixture
def server(any_server: Server) -> Server:
    any_server.reset()
    any_server.faults(slow=0.0)
    return any_server


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(path=tmp_path)


def wide_study(server: Server, *, holdout: float = 0.0) -> dict[str, Any]:
    found = landscape("wide")
    study = predecessor_study(server, parallel_workers=8)
    parameters = {name: list(values) for name, values in found.parameters().items() if name != "system_prompt"}
    study["search_space"]["parameters"] = parameters
    study["evaluation"]["test_cases"] = {"inline": as_test_cases(found.questions), "holdout": holdout}
    return study | {"budget": {"calls": 150}}


def test_the_answer_and_the_baseline_are_compared_on_cases_the_search_never_saw(folder: Folder, server: Server) -> None:
    study = wide_study(server, holdout=0.25)
    study["optimization"]["execution"] |= {"max_repeats": 1, "early_stopping": {"enabled": True, "confidence": 0.2}}
    folder.write(study | {"budget": {"calls": 1000}})

    found = folder.call("optimize", "study.yaml", "--quiet")

    books = folder.books()
    held_out = {key[1]: 0 for key in books.calls if key[2] >= 30}
    asked = [(body[3], case) for kind, body in books.events if kind == "asked" for case in body[1]]
    assert found.code == 0, found.err
    assert len(held_out) == 2
    assert sum(key[2] >= 30 for key in books.calls) == 20
    assert max(case for operator, case in asked if operator != "holdout") < 30
    assert sorted(case for operator, case in asked if operator == "holdout") == sorted([*range(30, 40)] * 2)
    assert re.search(r"Holdout: +\S+", found.out)
    assert books.n_attempts == server.books()["requests"]


def test_an_interrupted_comparison_is_finished_on_resume(folder: Folder, server: Server) -> None:
    study = wide_study(server, holdout=0.5)
    study["optimization"]["execution"] |= {"max_repeats": 1, "early_stopping": {"enabled": True, "confidence": 0.2}}
    folder.write(study | {"budget": {"calls": 1000}})
    server.faults(slow=1.0, slow_s=0.2)
    process = folder.fork("optimize", "study.yaml")
    wait_until(lambda: any(key[2] >= 20 for key in server.hits()))

    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(30)
    server.faults(slow=0.0)
    resumed = folder.call("resume", "--quiet")

    assert process.exitcode == 130, (folder.path / "output.txt").read_text()
    assert resumed.code == 0
    assert sum(key[2] >= 20 for key in folder.books().calls) == 40
    assert set(server.hits().values()) == {1}


def test_the_next_study_starts_from_the_elites_and_says_so_even_after_edits(folder: Folder, server: Server) -> None:
    folder.write(wide_study(server))
    first = folder.call("optimize", "study.yaml", "--quiet")
    best = folder.best_config()
    edited = wide_study(server)
    parameters = edited["search_space"]["parameters"]
    parameters["max_tokens"] = [512, 1024]
    parameters["temperature"] = {"type": "continuous", "min": 0.0, "max": 1.5, "step": 0.25}
    parameters["reasoning_effort"] = ["low", "medium", "high"]
    edited["evaluation"]["test_cases"]["inline"] = edited["evaluation"]["test_cases"]["inline"][5:]
    folder.write(edited)

    second = folder.call("optimize", "study.yaml", "--quiet")

    books = folder.books()
    operators = [body[3] for kind, body in books.events if kind == "asked"]
    assert first.code == second.code == 0, second.err
    assert "Started from: No earlier study" in " ".join(first.out.split())
    assert re.search(r"Started from: +\d+ configurations", second.out) or "earlier" in second.out
    assert operators.count("elite") >= 1
    assert operators.index("elite") <= 2
    report = json.loads((folder.path / "results" / "detailed_results.json").read_text())
    assert all(row["config"]["max_tokens"] in {512, 1024} for row in report)
    assert set(best) == set(folder.best_config())
