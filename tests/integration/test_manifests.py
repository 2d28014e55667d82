"""The shipped manifests are accepted, and each check refuses what it is there to refuse."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.manifests.policies import POLICIES, broken
from tests.manifests.rendering import OVERLAYS, BuildError, build, overlay
from tests.manifests.validate import VERSIONS, against_kubernetes, all_problems

Objects = list[dict[str, Any]]
Change = Callable[[Objects], None]


def changed(change: Change, name: str = "production") -> Objects:
    objects: Objects = copy.deepcopy(list(overlay(name)))  # type: ignore[arg-type]  # a copy may be changed
    change(objects)
    return objects


def found(objects: Objects, kind: str, name: str) -> dict[str, Any]:
    return next(each for each in objects if each["kind"] == kind and each["metadata"]["name"].startswith(name))


def worker(objects: Objects) -> dict[str, Any]:
    spec: dict[str, Any] = found(objects, "Deployment", "worker")["spec"]["template"]["spec"]
    return spec


def container(objects: Objects) -> dict[str, Any]:
    first: dict[str, Any] = worker(objects)["containers"][0]
    return first


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_builds_and_is_accepted(name: str) -> None:
    assert all_problems(overlay(name)) == []


def test_there_is_an_overlay_for_every_way_of_scaling() -> None:
    assert OVERLAYS == ("dev", "flower-metric", "hpa", "production", "prometheus-metric")


NEGATIVES: list[tuple[str, Change]] = [
    ("images_are_pinned", lambda o: container(o).update(image="registry.example.com/convergence-cluster:latest")),
    ("images_are_pinned", lambda o: container(o).update(image="registry.example.com:5000/convergence-cluster")),
    ("pods_are_restricted", lambda o: worker(o)["securityContext"].update(runAsUser=0)),
    ("pods_are_restricted", lambda o: worker(o)["securityContext"].pop("runAsNonRoot")),
    ("pods_are_restricted", lambda o: worker(o)["securityContext"].pop("seccompProfile")),
    ("pods_are_restricted", lambda o: worker(o).pop("automountServiceAccountToken")),
    ("pods_are_restricted", lambda o: worker(o).update(hostNetwork=True)),
    ("pods_are_restricted", lambda o: worker(o)["volumes"].append({"name": "h", "hostPath": {"path": "/"}})),
    ("containers_are_restricted", lambda o: container(o)["securityContext"].pop("allowPrivilegeEscalation")),
    ("containers_are_restricted", lambda o: container(o)["securityContext"].update(readOnlyRootFilesystem=False)),
    ("containers_are_restricted", lambda o: container(o)["securityContext"].pop("capabilities")),
    ("containers_have_limits", lambda o: container(o)["resources"].pop("limits")),
    ("containers_have_limits", lambda o: container(o)["resources"]["requests"].pop("memory")),
    ("secrets_are_references", lambda o: container(o)["env"].append({"name": "OPENAI_API_KEY", "value": "sk-1"})),
    (
        "secrets_are_references",
        lambda o: o.append({"kind": "Secret", "metadata": {"name": "keys", "namespace": "convergence"}}),
    ),
    ("secrets_are_references", lambda o: container(o)["args"].append("redis://:letmein@redis:6379/0")),
    (
        "secrets_are_references",
        lambda o: found(o, "ConfigMap", "settings")["data"].update(CONVERGENCE_BROKER_URL="redis://r"),
    ),
    (
        "only_coordinators_know_the_database",
        lambda o: container(o)["env"].append(
            {
                "name": "CONVERGENCE_DATABASE_URL",
                "valueFrom": {"secretKeyRef": {"name": "convergence-database", "key": "url"}},
            }
        ),
    ),
    ("everything_else_is_denied", lambda o: o.remove(found(o, "NetworkPolicy", "nothing"))),
    (
        "networks_stay_private",
        lambda o: found(o, "NetworkPolicy", "apis")["spec"]["egress"][0]["to"][0]["ipBlock"].pop("except"),
    ),
    ("networks_stay_private", lambda o: found(o, "NetworkPolicy", "redis")["spec"]["egress"][0].pop("ports")),
    ("workers_may_finish", lambda o: worker(o).update(terminationGracePeriodSeconds=900)),
    ("replicas_have_one_owner", lambda o: found(o, "Deployment", "worker")["spec"].update(replicas=3)),
    ("replicas_have_one_owner", lambda o: o.remove(found(o, "Deployment", "worker"))),
    (
        "probes_ask_nobody_else",
        lambda o: container(o).update(
            livenessProbe={"exec": {"command": ["celery", "-A", "convergence_cluster.worker", "inspect", "ping"]}}
        ),
    ),
    ("references_resolve", lambda o: o.remove(found(o, "ConfigMap", "settings"))),
    (
        "references_resolve",
        lambda o: found(o, "PodDisruptionBudget", "worker")["spec"]["selector"]["matchLabels"].update(a="b"),
    ),
    ("objects_have_a_namespace", lambda o: found(o, "Deployment", "worker")["metadata"].update(namespace="default")),
    ("objects_have_a_namespace", lambda o: found(o, "Namespace", "convergence")["metadata"].pop("labels")),
]


@pytest.mark.parametrize(("policy", "change"), NEGATIVES)
def test_a_policy_refuses_what_it_is_there_to_refuse(policy: str, change: Change) -> None:
    problems = broken(changed(change))

    assert [problem for problem in problems if problem.startswith(f"{policy}:")] != []


def test_every_policy_has_something_that_it_refuses() -> None:
    assert {name for name, _ in NEGATIVES} == {policy.__name__ for policy in POLICIES}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_field_that_kubernetes_does_not_know_is_refused(version: str) -> None:
    objects = changed(lambda o: worker(o).update(terminationGraceSeconds=960))

    problems = list(against_kubernetes(objects, version))

    assert len(problems) == 1
    assert "Deployment worker" in problems[0]


def test_a_value_of_the_wrong_type_is_refused() -> None:
    objects = changed(lambda o: container(o)["ports"][0].update(containerPort="9100"))

    assert list(against_kubernetes(objects, VERSIONS[-1])) != []


def test_a_patch_of_something_that_is_not_there_does_not_build(tmp_path: Any) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [nowhere.yaml]\n")

    with pytest.raises(BuildError, match=r"nowhere\.yaml"):
        build(tmp_path)
