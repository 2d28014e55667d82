"""The scripts that drive Docker, kind and kubectl, run against stand-ins that write down what they are told."""

import os
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.manifests.rendering import containers, of_kind, overlay, workloads

ROOT = Path(__file__).parents[2]

STAND_IN = """#!/usr/bin/env bash
echo "$(basename "$0") $*" >> "$SAID"
case "$(basename "$0") $*" in
  *"get secret"*) exit 1 ;;
  *"create secret generic"*) name=$(echo "$*" | sed 's/.*generic //; s/ .*//'); cat > "$SECRETS/$name" ;;
  *"image inspect"*) echo "docker.io/library/python@sha256:feed" ;;
esac
"""


class Tools:
    """The scripts in a folder of their own, and what they told the programs that they call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.said = folder / "said"
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        for name in ("tools", "docker", "k8s"):
            shutil.copytree(ROOT / name, folder / name)
        (folder / "convergence_cluster").mkdir()
        shutil.copy(ROOT / "convergence_cluster" / "__init__.py", folder / "convergence_cluster")
        (folder / "bin").mkdir()

    def pretend(self, *names: str) -> None:
        for name in names:
            path = self.folder / "bin" / name
            path.write_text(STAND_IN)
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def run(self, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        environ = {
            "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
            "SAID": str(self.said),
            "SECRETS": str(self.secrets),
            **variables,
        }
        command = [str(self.folder / "tools" / words[0]), *words[1:]]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def tools(tmp_path: Path) -> Tools:
    return Tools(tmp_path)


def wanted_secrets() -> set[tuple[str, str]]:
    """Return name and key of every secret that a pod of the dev overlay cannot start without."""
    variables: list[Any] = [
        variable
        for workload in workloads(overlay("dev"))
        for container in containers(workload)
        for variable in container.get("env", [])
    ]
    references = [each["valueFrom"]["secretKeyRef"] for each in variables if "valueFrom" in each]
    return {(each["name"], each["key"]) for each in references}


def test_k8s_dev_makes_every_secret_that_the_pods_need(tools: Tools) -> None:
    tools.pretend("docker", "kind", "kubectl")

    done = tools.run("k8s-dev", OPENAI_API_KEY="sk-with spaces")

    assert done.returncode == 0, done.stderr
    made = {
        (path.name, line.partition("=")[0]): line.partition("=")[2]
        for path in tools.secrets.iterdir()
        for line in path.read_text().splitlines()
    }
    assert wanted_secrets() <= set(made)
    assert made["convergence-broker", "url"] == f"redis://:{made['convergence-keda', 'password']}@redis:6379/0"
    assert made["convergence-database", "password"] in made["convergence-database", "url"]
    assert made["convergence-providers", "OPENAI_API_KEY"] == "sk-with spaces"


def test_k8s_dev_tells_no_secret_on_a_command_line(tools: Tools) -> None:
    tools.pretend("docker", "kind", "kubectl")

    done = tools.run("k8s-dev", OPENAI_API_KEY="sk-secret")

    values = {line.partition("=")[2] for path in tools.secrets.iterdir() for line in path.read_text().splitlines()}
    secret = {value for value in values if len(value) > 20} | {"sk-secret"}
    assert len(secret) >= 5
    assert [value for value in secret if value in tools.said.read_text() + done.stdout + done.stderr] == []


def test_k8s_dev_waits_for_everything_that_the_overlay_runs(tools: Tools) -> None:
    tools.pretend("docker", "kind", "kubectl")

    assert tools.run("k8s-dev").returncode == 0

    said = tools.said.read_text()
    running = [*of_kind(overlay("dev"), "Deployment"), *of_kind(overlay("dev"), "StatefulSet")]
    for each in running:
        assert f"rollout status {each['kind'].lower()}/{each['metadata']['name']}" in said
    assert "apply -k k8s/overlays/dev" in said


def test_the_image_is_pinned_to_the_digest_that_the_engine_has(tools: Tools) -> None:
    tools.pretend("docker")

    done = tools.run("image")

    assert done.returncode == 0, done.stderr
    assert "--build-arg PYTHON_DIGEST=sha256:feed" in tools.said.read_text()
    assert done.stdout.endswith("on docker.io/library/python:3.11-slim-bookworm@sha256:feed\n")


def test_compose_draws_its_passwords_once_for_nobody_else_to_read(tools: Tools) -> None:
    tools.pretend("docker")
    path = tools.folder / "docker" / ".env"

    assert tools.run("compose", "up").returncode == 0
    first = path.read_text()
    assert tools.run("compose", "up").returncode == 0

    assert path.read_text() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    passwords = dict(line.split("=") for line in first.splitlines())
    assert set(passwords) == {"REDIS_PASSWORD", "POSTGRES_PASSWORD", "FLOWER_PASSWORD", "GRAFANA_PASSWORD"}
    assert len(set(passwords.values())) == 4
    assert all(value not in tools.said.read_text() for value in passwords.values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("image",), "no Docker engine answers"),
        (("compose", "up"), "needs Docker with Compose"),
        (("k8s-dev",), "needs"),
    ],
)
def test_without_an_engine_each_says_what_it_needs(tools: Tools, words: tuple[str, ...], message: str) -> None:
    if os.path.exists("/var/run/docker.sock"):  # noqa: PTH110 - the shell looks there too
        pytest.skip("there is an engine here")

    done = tools.run(*words)

    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
