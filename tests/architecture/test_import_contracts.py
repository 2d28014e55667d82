"""The import contracts hold, and each of them bites when it is broken on purpose."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BREACHES = [
    ("Imports go one way", "domain/identity.py", "import convergence_cluster.spec"),
    ("Imports go one way", "coordinator/observing.py", "import convergence_cluster.dispatch"),
    ("Imports go one way", "optimizers/__init__.py", "import convergence_cluster.coordinator.protocols"),
    ("Nothing imports the sandbox", "commands/__init__.py", "import convergence_cluster.sandbox"),
    ("The sandbox stands alone", "sandbox/__init__.py", "import convergence_cluster.storage"),
    ("Decision code reads no clock", "optimizers/__init__.py", "import time"),
    ("Decision code reads no clock", "coordinator/accounts.py", "import random"),
    ("HTTP lives in providers", "trials/__init__.py", "import httpx"),
    ("Databases live in storage", "coordinator/accounts.py", "import sqlalchemy"),
    ("Optuna lives in storage", "reports/__init__.py", "import optuna"),
    ("YAML lives in spec", "reports/__init__.py", "import yaml"),
    ("Redis lives in metering and dispatch", "trials/__init__.py", "import redis"),
    ("Celery lives in dispatch", "bootstrap/__init__.py", "import celery"),
    ("OpenTelemetry lives in tracing", "bootstrap/__init__.py", "import opentelemetry"),
    ("OpenTelemetry lives in tracing", "bootstrap/__init__.py", "import convergence_cluster.tracing"),
    ("The mathematics is silent", "optimizers/__init__.py", "import logging"),
]


def _lint(folder: Path) -> subprocess.CompletedProcess[str]:
    lint = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([lint, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


def test_the_contracts_hold() -> None:
    result = _lint(ROOT)

    assert result.returncode == 0, result.stdout
    assert "0 broken" in result.stdout


@pytest.mark.parametrize(("contract", "module", "line"), BREACHES)
def test_a_contract_bites_when_it_is_broken(tmp_path: Path, contract: str, module: str, line: str) -> None:
    shutil.copytree(ROOT / "convergence_cluster", tmp_path / "convergence_cluster")
    shutil.copy(ROOT / ".importlinter", tmp_path)
    broken = tmp_path / "convergence_cluster" / module
    broken.write_text(broken.read_text() + f"\n{line}\n")

    result = _lint(tmp_path)

    assert result.returncode != 0
    broken_names = [text for text in result.stdout.splitlines() if "BROKEN" in text]
    assert any(contract in name for name in broken_names), result.stdout
