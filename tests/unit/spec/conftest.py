"""A folder with a study and the files it names."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from convergence_cluster.spec.loading import LoadedStudy, loads

CASES = [
    {"id": "easy", "input": {"prompt": "2 + 2?"}, "expected": "4", "metadata": {"category": "sum"}},
    {
        "id": "hard",
        "input": {"prompt": "17 * 23?"},
        "expected": "391",
        "metadata": {"category": "product", "weight": 2},
    },
    {"id": "word", "input": {"prompt": "Capital of France?"}, "expected": "Paris"},
    {"id": "long", "input": {"prompt": "Who wrote Faust?"}, "expected": "Goethe"},
    {"id": "none", "input": {"prompt": "Name a prime."}, "expected": "7"},
]
EVALUATOR = "def score_response(result, expected, params, metric=None):\n    return 1.0\n"

Loads = Callable[[str], LoadedStudy]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold cases.json, evaluator_file.py and three prompts."""
    (tmp_path / "cases.json").write_text(json.dumps(CASES))
    (tmp_path / "scorer.py").write_text(EVALUATOR)
    (tmp_path / "prompts").mkdir()
    for name in ("v10.md", "v2.md", "v1.md"):
        (tmp_path / "prompts" / name).write_text(f"You are prompt {name}.")
    return tmp_path


@pytest.fixture
def load(folder: Path) -> Loads:
    """Load a text as `study.yaml` in that folder."""
    return lambda text: loads(text, name="study.yaml", directory=folder)
