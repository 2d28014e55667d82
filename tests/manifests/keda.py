"""What KEDA accepts and, more than that, honours. Source: KEDA 2.20, its definitions, admission and fallback code."""

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import jsonschema

from convergence_cluster.dispatch.celery_app import list_names, unacked_name
from tests.manifests.rendering import ROOT, Object, containers, name_of, of_kind, settings

_NAME = re.compile(r"[a-z_]\w*")
_FUNCTIONS = {"max", "min", "ceil", "floor"}


@cache
def schema() -> dict[str, Any]:
    """Return our reduced schema."""
    found: dict[str, Any] = json.loads((ROOT / "k8s" / "schemas" / "keda.json").read_text(encoding="utf-8"))
    return found


def problems(objects: Sequence[Object]) -> Iterator[str]:
    """Yield what is wrong with the KEDA objects among some."""
    for each in of_kind(objects, "ScaledObject", "TriggerAuthentication"):
        part = {"$defs": schema()["$defs"], "$ref": f"#/$defs/{each['kind']}"}
        validator = jsonschema.Draft202012Validator(part)
        found = [
            f"{name_of(each)}: {error.json_path}: {error.message}" for error in validator.iter_errors(each["spec"])
        ]
        yield from found
        if each["kind"] == "ScaledObject" and not found:
            yield from (f"{name_of(each)}: {text}" for text in _scaled(each["spec"], objects))


def _scaled(spec: Object, objects: Sequence[Object]) -> Iterator[str]:
    if spec.get("minReplicaCount", 0) > spec.get("maxReplicaCount", 100):
        yield "minReplicaCount is above maxReplicaCount"
    yield from _formula(spec)
    yield from _fallback(spec)
    yield from _authentication(spec, objects)
    yield from _lists(spec, objects)


def _formula(spec: Object) -> Iterator[str]:
    """A formula uses every trigger once named; without one, several triggers would give their maximum."""
    names = [trigger["name"] for trigger in spec["triggers"]]
    if len(set(names)) < len(names):
        yield "two triggers have one name"
    modifiers = spec.get("advanced", {}).get("scalingModifiers")
    if modifiers is None:
        if len(names) > 1:
            yield "several triggers and no formula: KEDA takes their maximum, not their sum"
        return
    used = set(_NAME.findall(modifiers["formula"])) - _FUNCTIONS
    if used != set(names):
        yield f"the formula uses {sorted(used)}; the triggers are {sorted(names)}"


def _fallback(spec: Object) -> Iterator[str]:
    """KEDA drops a fallback without a word where it cannot compute with the target."""
    fallback, modifiers = spec.get("fallback"), spec.get("advanced", {}).get("scalingModifiers")
    if fallback is None:
        yield "there is no fallback"
        return
    if fallback["replicas"] < 1:
        yield "a fallback to no replicas is no fallback"
    if modifiers is not None:
        target = modifiers["target"]
        if not target.isdigit() or int(target) < 1:
            yield f"the fallback is ignored: target {target!r} is not a whole number above 0"
        if modifiers.get("metricType", "AverageValue") != "AverageValue":
            yield "the fallback needs metricType AverageValue"


def _authentication(spec: Object, objects: Sequence[Object]) -> Iterator[str]:
    known = {each["metadata"]["name"] for each in of_kind(objects, "TriggerAuthentication")}
    for trigger in spec["triggers"]:
        name = trigger.get("authenticationRef", {}).get("name")
        if name is not None and name not in known:
            yield f"trigger {trigger['name']}: there is no TriggerAuthentication {name}"
        if any("password" in key.lower() for key in trigger["metadata"]):
            yield f"trigger {trigger['name']}: a password stands in the manifest"


def _lists(spec: Object, objects: Sequence[Object]) -> Iterator[str]:
    """Redis triggers watch all the lists of the queue that the processes use, and what is in flight."""
    lists = [trigger["metadata"]["listName"] for trigger in spec["triggers"] if trigger["type"] == "redis"]
    if not lists:
        return
    queue = settings(objects).get("CONVERGENCE_QUEUE", "trials")
    wanted = [*list_names(queue), unacked_name(queue)]
    if sorted(lists) != sorted(wanted):
        yield f"the triggers watch {sorted(lists)}; the queue {queue} is in {sorted(wanted)}"
    target = float(spec.get("advanced", {}).get("scalingModifiers", {}).get("target", 0))
    slots = _slots(objects)
    if not 0 < target <= slots:
        yield f"the target of {target:g} is not within a worker's {slots} slots"


def _slots(objects: Sequence[Object]) -> int:
    for workload in of_kind(objects, "Deployment"):
        for container in containers(workload):
            words = container.get("args", [])
            if "--concurrency" in words:
                return int(words[words.index("--concurrency") + 1])
    return 0
