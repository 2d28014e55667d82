"""The Dockerfile and the compose file, as far as they can be judged without an engine."""

import copy
import json
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.image.dockerfile import DockerfileError, expand, parse

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = ROOT / "docker" / "compose.yaml"


def hadolint(path: Path) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("hadolint")), str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_dockerfile_is_clean() -> None:
    done = hadolint(ROOT / "docker" / "Dockerfile")

    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_refuses_what_it_is_there_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM python:latest\nRUN cd /x && pip install celery\nCMD celery worker\n")

    done = hadolint(path)

    assert done.returncode == 1
    assert {"DL3007", "DL3042", "DL3025"} <= {word.strip() for word in done.stdout.replace(":", " ").split()}


def test_the_image_runs_as_nobody_and_its_process_gets_the_signals() -> None:
    build, final = parse(DOCKERFILE)
    entry, user, health = (final.last(name) for name in ("ENTRYPOINT", "USER", "HEALTHCHECK"))

    assert (entry and entry.words(), user and user.text) == (["convergence"], "10001:10001")
    assert health is not None
    assert "/tmp/heartbeat" in health.text
    assert not [each for each in final.instructions if each.name == "RUN" and "install" in each.text]
    assert build.name == "build"


def test_the_base_is_pinned_by_the_digest_that_the_build_is_given() -> None:
    digest = f"sha256:{'0' * 64}"
    plain, pinned = parse(DOCKERFILE), parse(DOCKERFILE, {"PYTHON_DIGEST": digest})

    assert {stage.base for stage in plain} == {"docker.io/library/python:3.11-slim-bookworm"}
    assert {stage.base for stage in pinned} == {f"docker.io/library/python:3.11-slim-bookworm@{digest}"}


def test_nothing_but_what_is_named_reaches_the_build() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    named = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        word
        for stage in parse(DOCKERFILE)
        for each in stage.instructions
        if each.name == "COPY" and "--from" not in each.text
        for word in each.words()[:-1]
    }

    assert "*" in ignored
    assert named == copied
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_the_build_gets_whatever_the_wheel_is_made_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = {word for each in parse(DOCKERFILE)[0].instructions if each.name == "COPY" for word in each.words()[:-1]}

    assert {*wheel["packages"], *wheel["force-include"], project["project"]["readme"]} <= copied
    assert set(project["project"]["license-files"]) <= copied


def test_the_parser_says_what_it_does_not_know() -> None:
    with pytest.raises(DockerfileError, match="not modelled"):
        parse("FROM a\nADD b c\n")

    assert expand("${A}-$B-${C:+x$A}-${A:+y}", {"A": "1", "B": "2"}) == "1-2--y"


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return document


def specification() -> Draft202012Validator:
    text = (files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def test_the_compose_file_keeps_to_the_specification() -> None:
    assert [error.message for error in specification().iter_errors(compose())] == []


def test_the_specification_refuses_an_unknown_key() -> None:
    spoiled = copy.deepcopy(compose())
    spoiled["services"]["worker"]["stop_grace"] = "16m"

    assert list(specification().iter_errors(spoiled)) != []


def test_every_process_of_ours_is_confined_and_bounded() -> None:
    services = compose()["services"]
    ours = {name: service for name, service in services.items() if service["image"].startswith("convergence")}

    assert set(ours) == {"coordinator", "worker", "submit", "flower"}
    for name, service in ours.items():
        assert service["read_only"], name
        assert service["user"] == "10001:10001", name
        assert service["cap_drop"] == ["ALL"], name
    assert [name for name, each in services.items() if "mem_limit" not in each and name != "submit"] == []
    assert services["worker"]["stop_grace_period"] == "16m"


def test_only_what_a_person_looks_at_is_published_and_only_on_this_machine() -> None:
    document = compose()
    published = {name: each["ports"] for name, each in document["services"].items() if "ports" in each}

    assert published == {"flower": ["127.0.0.1:5555:5555"], "grafana": ["127.0.0.1:3000:3000"]}
    assert document["networks"]["inside"]["internal"] is True
    assert "CONVERGENCE_DATABASE_URL" not in json.dumps(document["services"]["worker"])


def test_no_password_stands_in_the_compose_file() -> None:
    text = COMPOSE.read_text(encoding="utf-8")

    assert "requirepass $$PASSWORD" in text
    for line in text.splitlines():
        if "_PASSWORD:" in line and "$" not in line:
            pytest.fail(f"{line.strip()}: a password by value")


def test_every_image_of_others_has_a_tag() -> None:
    tags = [each["image"].rpartition(":")[2] for each in compose()["services"].values()]

    assert "latest" not in tags
    assert all(tags)


def test_every_file_that_is_mounted_exists() -> None:
    mounts = [mount for each in compose()["services"].values() for mount in each.get("volumes", [])]
    paths = [mount.split(":")[0] for mount in mounts if mount.startswith(".")]

    assert len(paths) >= 5
    assert [path for path in paths if not (COMPOSE.parent / path).exists()] == []
