"""The Python API: a study from code, with typed results."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import yaml

import convergence_cluster
from convergence_cluster.api import Progress, StudyResult, load_study, optimize
from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.search import Interval, StopReason
from tests.study_runs import Folder, Server, predecessor_study, serving_llm


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving_llm("--landscape", "predecessor", "--latency-ms", "5", "--seed", "3") as started:
        yield started


@pytest.fixture
def study(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    structlog.reset_defaults()
    return Folder(path=tmp_path).write(predecessor_study(server, parallel_workers=8) | {"budget": {"calls": 80}})


def test_a_study_runs_from_code_and_returns_typed_results(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    seen: list[Progress] = []

    result = convergence_cluster.optimize(study, on_progress=seen.append)

    assert isinstance(result, StudyResult)
    assert result.best_config is not None
    assert set(result.best_config) == {"model", "temperature", "max_tokens"}
    assert isinstance(result.score, Interval)
    assert isinstance(result.change, Interval)
    assert result.stop_reason is StopReason.BUDGET_CALLS
    assert result.n_calls == 80
    assert result.spent_usd is not None
    assert 0.0 < result.spent_usd < 1.0
    assert all(path.is_file() for path in result.files)
    assert seen[-1].is_final
    assert "Best config:" in str(result)
    assert capfd.readouterr() == ("", "")


def test_a_loaded_study_runs_without_writing_files(study: Path, tmp_path: Path) -> None:
    result = optimize(load_study(study), writes_files=False)

    assert result.n_calls == 80
    assert result.files == ()
    assert not (tmp_path / "results").exists()


def test_a_broken_study_raises_before_anything_is_sent(study: Path, server: Server, tmp_path: Path) -> None:
    document = yaml.safe_load(study.read_text())
    document["api"]["auth"] = {"type": "bearer", "token_env": "NOT_SET_ANYWHERE"}
    study.write_text(yaml.safe_dump(document))
    n_before = server.books()["requests"]

    with pytest.raises(SpecError, match="NOT_SET_ANYWHERE"):
        optimize(study)

    assert server.books()["requests"] == n_before
