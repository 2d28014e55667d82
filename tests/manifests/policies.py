"""What every manifest of ours keeps to, beyond what Kubernetes demands. Each policy returns what breaks it."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import Any, TypeAlias

from tests.manifests.rendering import Object, containers, name_of, of_kind, pod, settings, workloads

Policy: TypeAlias = Callable[[Sequence[Object]], Iterator[str]]

_SECRET_WORDS = ("PASSWORD", "TOKEN", "SECRET", "_KEY", "AUTH", "_URL")
_PASSWORD_IN_URL = re.compile(r"\w+://[^/\s@:]*:[^@\s/$(]+@")
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
_DATABASE = "CONVERGENCE_DATABASE_URL"


def images_are_pinned(objects: Sequence[Object]) -> Iterator[str]:
    """Every image has a tag other than latest, or a digest."""
    for workload in workloads(objects):
        for each in containers(workload):
            image = each["image"]
            tag = image.rpartition("/")[2].partition(":")[2]
            if "@sha256:" not in image and tag in {"", "latest"}:
                yield f"{name_of(workload)}: image {image} has no tag, or is the latest of the day"


def pods_are_restricted(objects: Sequence[Object]) -> Iterator[str]:
    """Pods run as nobody in particular, and have no token for the API server."""
    for workload in workloads(objects):
        spec, name = pod(workload), name_of(workload)
        security = spec.get("securityContext", {})
        if security.get("runAsNonRoot") is not True or not security.get("runAsUser"):
            yield f"{name}: may run as root"
        if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
            yield f"{name}: has no seccomp profile"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{name}: gets a service account's token"
        if any(spec.get(each) for each in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{name}: shares a namespace of the host"
        if any("hostPath" in volume for volume in spec.get("volumes", [])):
            yield f"{name}: mounts a path of the host"


def containers_are_restricted(objects: Sequence[Object]) -> Iterator[str]:
    """Containers cannot gain privileges or write to their root file system."""
    for workload in workloads(objects):
        for each in containers(workload):
            security, name = each.get("securityContext", {}), f"{name_of(workload)}/{each['name']}"
            if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
                yield f"{name}: may gain privileges"
            if security.get("readOnlyRootFilesystem") is not True:
                yield f"{name}: may write to its root file system"
            if security.get("capabilities", {}).get("drop") != ["ALL"]:
                yield f"{name}: keeps capabilities"


def containers_have_limits(objects: Sequence[Object]) -> Iterator[str]:
    """Every container asks for CPU and memory, and is limited in both."""
    for workload in workloads(objects):
        for each in containers(workload):
            for kind in ("requests", "limits"):
                missing = {"cpu", "memory"} - each.get("resources", {}).get(kind, {}).keys()
                if missing:
                    yield f"{name_of(workload)}/{each['name']}: no {kind} of {', '.join(sorted(missing))}"


def secrets_are_references(objects: Sequence[Object]) -> Iterator[str]:
    """No secret is in a manifest: not as a Secret, not as a value of a variable, not inside a URL."""
    for each in of_kind(objects, "Secret"):
        yield f"{name_of(each)}: a secret's content is in the manifests"
    for workload in workloads(objects):
        for container in containers(workload):
            for variable in container.get("env", []):
                is_secret = any(word in variable["name"] for word in _SECRET_WORDS)
                if is_secret and "secretKeyRef" not in variable.get("valueFrom", {}):
                    yield f"{name_of(workload)}/{container['name']}: {variable['name']} is not read from a secret"
    for each in objects:
        if _PASSWORD_IN_URL.search(json.dumps(each)):
            yield f"{name_of(each)}: a URL with a password"
    for name in settings(objects):
        if any(word in name for word in _SECRET_WORDS):
            yield f"ConfigMap settings: {name} looks like a secret"


def only_coordinators_know_the_database(objects: Sequence[Object]) -> Iterator[str]:
    """Workers and Flower get no access to the database."""
    for workload in workloads(objects):
        if workload["metadata"]["name"] in {"worker", "flower"} and _DATABASE in json.dumps(workload):
            yield f"{name_of(workload)}: is told where the database is"


def everything_else_is_denied(objects: Sequence[Object]) -> Iterator[str]:
    """One policy closes every pod of the namespace, in both directions."""
    denies = [
        each
        for each in of_kind(objects, "NetworkPolicy")
        if each["spec"]["podSelector"] == {}
        and set(each["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and not each["spec"].get("ingress")
        and not each["spec"].get("egress")
    ]
    if not denies:
        yield "no NetworkPolicy denies by default"


def networks_stay_private(objects: Sequence[Object]) -> Iterator[str]:
    """Whoever may call the internet may not call private addresses or the cloud's metadata with the same rule."""
    for each in of_kind(objects, "NetworkPolicy"):
        for rule in each["spec"].get("egress") or []:
            if not rule.get("to") or not rule.get("ports"):
                yield f"{name_of(each)}: a rule for every address or every port"
            for peer in rule.get("to", []):
                block = peer.get("ipBlock", {})
                if block.get("cidr") == "0.0.0.0/0":
                    open_ones = [net for net in _PRIVATE if not _covered(net, block.get("except", []))]
                    if open_ones:
                        yield f"{name_of(each)}: reaches {', '.join(open_ones)}"


def workers_may_finish(objects: Sequence[Object]) -> Iterator[str]:
    """A worker that is told to go has longer than its longest task."""
    longest_s = float(settings(objects).get("CONVERGENCE_MAX_TASK_S", 900))
    for each in workloads(objects):
        if each["metadata"]["name"] == "worker" and pod(each).get("terminationGracePeriodSeconds", 30) <= longest_s:
            yield f"{name_of(each)}: is killed before a task of {longest_s:g} s can end"


def replicas_have_one_owner(objects: Sequence[Object]) -> Iterator[str]:
    """What is scaled says nothing of replicas, else every `apply` would undo the scaling."""
    for scaler in of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]["name"]
        targets = [each for each in of_kind(objects, "Deployment") if each["metadata"]["name"] == target]
        if not targets:
            yield f"{name_of(scaler)}: there is no Deployment {target}"
        for each in targets:
            if "replicas" in each["spec"]:
                yield f"{name_of(each)}: replicas are set, and scaled by {name_of(scaler)}"


def probes_ask_nobody_else(objects: Sequence[Object]) -> Iterator[str]:
    """Coordinators and workers live while their own loop turns: no probe of theirs depends on Redis or a network."""
    for workload in workloads(objects):
        if workload["metadata"]["name"] not in {"coordinator", "worker"}:
            continue
        for each in containers(workload):
            command = " ".join(each.get("livenessProbe", {}).get("exec", {}).get("command", []))
            if settings(objects).get("CONVERGENCE_HEARTBEAT_FILE", "?") not in command:
                yield f"{name_of(workload)}/{each['name']}: its liveness is not its heartbeat file"


def references_resolve(objects: Sequence[Object]) -> Iterator[str]:
    """Every ConfigMap that is read is there, and every disruption budget and Service finds pods."""
    maps = {each["metadata"]["name"] for each in of_kind(objects, "ConfigMap")}
    for workload in workloads(objects):
        for each in containers(workload):
            for source in each.get("envFrom", []):
                name = source.get("configMapRef", {}).get("name")
                if name is not None and name not in maps:
                    yield f"{name_of(workload)}/{each['name']}: there is no ConfigMap {name}"
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in workloads(objects)]
    for each in of_kind(objects, "PodDisruptionBudget", "Service"):
        selector = each["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        if not any(_matches(wanted, found) for found in labels):
            yield f"{name_of(each)}: selects no pod"


def objects_have_a_namespace(objects: Sequence[Object]) -> Iterator[str]:
    """Everything lies in our own namespace, which admits restricted pods only."""
    spaces = {each["metadata"]["name"]: each["metadata"].get("labels", {}) for each in of_kind(objects, "Namespace")}
    for each in objects:
        if each["kind"] != "Namespace" and each["metadata"].get("namespace") not in spaces:
            yield f"{name_of(each)}: lies in no namespace of ours"
    for name, labels in spaces.items():
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            yield f"Namespace {name}: admits pods that are not restricted"


def _covered(network: str, blocks: Sequence[str]) -> bool:
    inner = ip_network(network)
    return any(inner.subnet_of(ip_network(block)) for block in blocks if ":" not in block)  # type: ignore[arg-type]  # all are of version 4


def _matches(wanted: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    return wanted.items() <= labels.items()


POLICIES: tuple[Policy, ...] = (
    images_are_pinned,
    pods_are_restricted,
    containers_are_restricted,
    containers_have_limits,
    secrets_are_references,
    only_coordinators_know_the_database,
    everything_else_is_denied,
    networks_stay_private,
    workers_may_finish,
    replicas_have_one_owner,
    probes_ask_nobody_else,
    references_resolve,
    objects_have_a_namespace,
)


def broken(objects: Sequence[Object]) -> list[str]:
    """Return everything that breaks a policy."""
    return [f"{policy.__name__}: {problem}" for policy in POLICIES for problem in policy(objects)]
