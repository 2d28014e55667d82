"""What a laptop installs is enough to run a study on it."""

import subprocess
import sys

import pytest

_WITHOUT = """
import sys
for name in {extras!r}:
    sys.modules[name] = None
import {module}
"""
EXTRAS = ("celery", "flower", "prometheus_client", "psycopg", "redis")
MODULES = ("api", "cli", *(f"commands.{name}" for name in ("submit", "status", "watch", "info", "up", "down", "probe")))


@pytest.mark.parametrize("module", MODULES)
def test_a_study_on_one_machine_imports_nothing_of_the_cluster(module: str) -> None:
    code = _WITHOUT.format(extras=EXTRAS, module=f"convergence_cluster.{module}")

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr
