"""The ScaledObjects do what KEDA does with them, and mistakes that KEDA passes over in silence are refused."""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.manifests.keda import problems, schema
from tests.manifests.rendering import OVERLAYS, ROOT, of_kind, overlay

DEFINITIONS = ROOT.parent / "shared" / "data" / "keda-crd"

Spec = dict[str, Any]
Change = Callable[[Spec], object]


def spoiled(change: Change) -> list[str]:
    objects: list[Any] = copy.deepcopy(list(overlay("production")))
    change(next(each["spec"] for each in objects if each["kind"] == "ScaledObject"))
    return list(problems(objects))


def modifiers(spec: Spec) -> Spec:
    found: Spec = spec["advanced"]["scalingModifiers"]
    return found


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.update(fallbacks={}), "Additional properties"),
        (lambda s: s.update(pollingInterval=0), "less than the minimum"),
        (lambda s: s["fallback"].update(behavior="currentReplicasOrHigher"), "is not one of"),
        (lambda s: modifiers(s).update(target="48.0"), "the fallback is ignored"),
        (lambda s: modifiers(s).update(target="0"), "the fallback is ignored"),
        (lambda s: modifiers(s).update(metricType="Value"), "the fallback needs metricType AverageValue"),
        (lambda s: s.pop("fallback"), "there is no fallback"),
        (lambda s: s["fallback"].update(replicas=0), "no fallback"),
        (lambda s: modifiers(s).update(formula="urgent + normal"), "the formula uses"),
        (lambda s: s["advanced"].pop("scalingModifiers"), "their maximum, not their sum"),
        (lambda s: s["triggers"][1].update(name="urgent"), "two triggers have one name"),
        (lambda s: s["triggers"][0]["metadata"].update(listName="trails"), "the triggers watch"),
        (lambda s: s["triggers"].pop(), "the formula uses"),
        (lambda s: s["triggers"][0]["authenticationRef"].update(name="rdis"), "there is no TriggerAuthentication rdis"),
        (lambda s: s["triggers"][0]["metadata"].update(password="x"), "a password stands in the manifest"),
        (lambda s: modifiers(s).update(target="65"), "not within a worker's 64 slots"),
        (lambda s: s.update(minReplicaCount=30), "minReplicaCount is above"),
    ],
)
def test_a_mistake_in_a_scaled_object_is_refused(change: Change, words: str) -> None:
    found = spoiled(change)

    assert any(words in problem for problem in found), found


def strict(node: Any) -> Any:
    """Return a definition's schema with unknown fields refused, and Kubernetes' own words taken out."""
    if isinstance(node, list):
        return [strict(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {key: strict(value) for key, value in node.items() if key != "format" and not key.startswith("x-")}
    if "properties" in kept and "additionalProperties" not in kept:
        kept["additionalProperties"] = False
    return kept


def definition(kind: str) -> Any:
    path = DEFINITIONS / f"keda.sh_{kind.lower()}s.yaml"
    if not path.exists():
        pytest.skip("KEDA's own definitions are not at hand")
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    return strict(document["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])


@pytest.mark.parametrize("kind", ["ScaledObject", "TriggerAuthentication"])
def test_kedas_own_definitions_accept_what_ours_accept(kind: str) -> None:
    validator = Draft202012Validator(definition(kind))
    specs = [each["spec"] for name in OVERLAYS for each in of_kind(overlay(name), kind)]

    assert len(specs) >= 3
    assert [error.message for spec in specs for error in validator.iter_errors(spec)] == []


def leaves(ours: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "$ref" in ours:
        ours = schema()["$defs"][str(ours["$ref"]).rpartition("/")[2]]
    yield path, ours
    for name, inner in ours.get("properties", {}).items():
        yield from leaves(inner, f"{path}/{name}")
    if "items" in ours:
        yield from leaves(ours["items"], f"{path}/*")


@pytest.mark.parametrize("kind", ["ScaledObject", "TriggerAuthentication"])
def test_our_reduced_schema_names_no_field_that_keda_does_not_have(kind: str) -> None:
    theirs = definition(kind)

    for path, ours in leaves(schema()["$defs"][kind]):
        node = theirs
        for step in filter(None, path.split("/")):
            node = node["items"] if step == "*" else node["properties"][step]
        assert node.get("type") == ours["type"], path
        if "enum" in node:
            assert set(ours["enum"]) <= set(node["enum"]), path


def test_kedas_own_definitions_refuse_an_unknown_field() -> None:
    (spec,) = (each["spec"] for each in of_kind(overlay("production"), "ScaledObject"))
    validator = Draft202012Validator(definition("ScaledObject"))

    assert list(validator.iter_errors({**spec, "cooldown": 3})) != []
