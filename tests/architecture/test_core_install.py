"""What a laptop installs is enough to run a study on it."""

import subprocess
import sys

import pytest

from convergence_cluster.cli import COMMANDS

_WITHOUT = """
import sys
for name in {extras!r}:
    sys.modules[name] = None
import {module}
"""
EXTRAS = ("celery", "flower", "kombu", "prometheus_client", "psycopg", "redis")
MODULES = ("api", "cli", *(f"commands.{name}" for name in ("submit", "status", "watch", "info", "up", "down", "probe")))


@pytest.mark.parametrize("module", MODULES)
def test_a_study_on_one_machine_imports_nothing_of_the_cluster(module: str) -> None:
    code = _WITHOUT.format(extras=EXTRAS, module=f"convergence_cluster.{module}")

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_says_what_it_does_without_the_clusters_packages(command: str) -> None:
    code = (
        _WITHOUT.format(extras=EXTRAS, module="convergence_cluster.cli") + "convergence_cluster.cli.main(sys.argv[1:])"
    )
    words = [sys.executable, "-c", code, command, "--help"]

    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert COMMANDS[command][1:] in " ".join(done.stdout.split())
