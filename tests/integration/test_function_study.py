"""The shipped study of a Python function, in this process and in one of its own."""

import shutil
from pathlib import Path

import pytest
import yaml

from convergence_cluster.api import load_study, optimize
from convergence_cluster.domain.errors import SpecError
from convergence_cluster.spec.portable import pack, unpack

CONFIGS = Path(__file__).parents[2] / "configs"


def study_in(folder: Path, **execution: int) -> Path:
    study = yaml.safe_load((CONFIGS / "python-function.yaml").read_text())
    study["budget"]["calls"] = 240
    study["optimization"]["execution"] |= execution
    study["output"] = {"save_path": "results"}
    shutil.copytree(CONFIGS / "function", folder / "function")
    (folder / "study.yaml").write_text(yaml.safe_dump(study))
    return folder / "study.yaml"


@pytest.mark.parametrize("n_workers", [4, 32])
def test_a_function_is_a_study_like_any_other(n_workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    result = optimize(study_in(tmp_path, parallel_workers=n_workers))

    assert result.best_config is not None
    assert result.n_calls == 240
    assert result.change is not None
    assert result.change.mean > 0.0
    assert result.spent_usd is not None
    assert result.spent_usd > 0.0


def test_a_changed_function_is_another_study(tmp_path: Path) -> None:
    file = study_in(tmp_path)
    before = load_study(file)
    source = tmp_path / "function" / "retrieval.py"
    source.write_text(source.read_text().replace("0.3", "0.4"))

    after = load_study(file)

    assert before.digest != after.digest
    assert unpack(pack(after)).target == after.target


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("function/nothing.py:answer", "api.function.module: no file function/nothing.py beside the study file"),
        (
            "function/retrieval.py:anser",
            "api.function.function: retrieval.py defines no 'anser'; did you mean",
        ),
    ],
)
def test_a_function_that_is_not_there_is_one_line(tmp_path: Path, given: str, said: str) -> None:
    file = study_in(tmp_path)
    file.write_text(file.read_text().replace("function/retrieval.py:answer", given))

    with pytest.raises(SpecError, match=said):
        load_study(file)
