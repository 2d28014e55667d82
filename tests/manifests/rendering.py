"""The manifests as Kubernetes would get them: every overlay built by kustomize."""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = tuple(sorted(path.name for path in (ROOT / "k8s" / "overlays").iterdir()))

Object: TypeAlias = Mapping[str, Any]


class BuildError(Exception):
    """Kustomize refuses an overlay."""


def kubectl() -> str:
    """Return the kubectl of this environment, else the one on the PATH."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise BuildError("there is no kubectl; make .venv/.dev installs one on Linux and macOS")
    return found


def build(folder: Path) -> str:
    """Return what kustomize makes of a folder.

    Raises:
        BuildError: it refuses.
    """
    done = subprocess.run(
        [kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        raise BuildError(done.stderr.strip())
    return done.stdout


@cache
def overlay(name: str) -> tuple[Object, ...]:
    """Return the objects of an overlay; nobody changes them."""
    return tuple(yaml.safe_load_all(build(ROOT / "k8s" / "overlays" / name)))


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """Return the objects of some kinds."""
    return [each for each in objects if each["kind"] in kinds]


def workloads(objects: Iterable[Object]) -> list[Object]:
    """Return whatever makes pods."""
    return of_kind(objects, "Deployment", "StatefulSet", "DaemonSet", "Job")


def pod(workload: Object) -> Object:
    """Return the pod that a workload makes."""
    spec: Object = workload["spec"]["template"]["spec"]
    return spec


def containers(workload: Object) -> Sequence[Object]:
    """Return all containers of a workload's pods, initial ones too."""
    spec = pod(workload)
    return [*spec.get("initContainers", []), *spec["containers"]]


def name_of(each: Object) -> str:
    """Return kind and name."""
    return f"{each['kind']} {each['metadata']['name']}"


def settings(objects: Iterable[Object]) -> Mapping[str, str]:
    """Return the shared settings of the processes."""
    for each in of_kind(objects, "ConfigMap"):
        if each["metadata"]["name"].startswith("settings"):
            data: Mapping[str, str] = each["data"]
            return data
    return {}
