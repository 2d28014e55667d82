"""What a ScaledObject or a HorizontalPodAutoscaler says, with the defaults of KEDA and Kubernetes filled in."""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

_OPERATORS: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS: Final[Mapping[str, Callable[..., float]]] = {
    "max": max,
    "min": min,
    "ceil": math.ceil,
    "floor": math.floor,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Policy:
    """How fast replicas may change."""

    kind: str
    """Pods or Percent."""
    value: int
    period_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Rules:
    """How replicas change in one direction."""

    window_s: float
    select: str
    policies: tuple[Policy, ...]
    tolerance: float | None = None


_UP: Final = Rules(
    window_s=0.0,
    select="Max",
    policies=(Policy(kind="Pods", value=4, period_s=15.0), Policy(kind="Percent", value=100, period_s=15.0)),
)
_DOWN: Final = Rules(window_s=300.0, select="Max", policies=(Policy(kind="Percent", value=100, period_s=15.0),))


@dataclass(frozen=True, kw_only=True, slots=True)
class Fallback:
    """What KEDA tells the HPA while it cannot read a metric."""

    threshold: int
    """More failures in a row than this."""
    replicas: int
    behavior: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scaling:
    """Everything that decides how many workers there are."""

    formula: str
    """Over the names of the triggers."""
    target: float
    activation: float
    is_average: bool
    """AverageValue: the target is for each replica; else Value: it is for all."""
    least: int
    most: int
    polling_s: float
    cooldown_s: float
    initial_cooldown_s: float
    honours_fallback: bool
    """KEDA ignores a fallback beside a formula whose target is not a whole number above 0."""
    fallback: Fallback | None
    up: Rules
    down: Rules
    lists: Mapping[str, str]
    """The Redis key that each trigger counts, by the trigger's name; empty where another source is asked."""

    def value(self, values: Mapping[str, float]) -> float:
        """Return the one number that is scaled on."""
        return _evaluate(ast.parse(self.formula, mode="eval").body, values)


def read_scaled_object(document: Mapping[str, Any]) -> Scaling:
    """Return what a ScaledObject says.

    Raises:
        ValueError: it has several triggers and no formula, or a kind of metric that is not modelled here.
    """
    spec = document["spec"]
    triggers, advanced = spec["triggers"], spec.get("advanced", {})
    modifiers = advanced.get("scalingModifiers")
    if modifiers is None and len(triggers) > 1:
        raise ValueError("several triggers without a formula are not modelled")
    if modifiers is None:
        metadata = triggers[0]["metadata"]
        target = _first(metadata, "listLength", "threshold", "targetValue")
        activation = _first(
            metadata, "activationListLength", "activationThreshold", "activationTargetValue", default="0"
        )
        formula, kind = triggers[0]["name"], triggers[0].get("metricType", "AverageValue")
    else:
        target, activation = modifiers["target"], modifiers.get("activationTarget", "0")
        formula, kind = modifiers["formula"], modifiers.get("metricType", "AverageValue")
    behavior = advanced.get("horizontalPodAutoscalerConfig", {}).get("behavior", {})
    return Scaling(
        formula=formula,
        target=float(target),
        activation=float(activation),
        is_average=kind == "AverageValue",
        least=spec.get("minReplicaCount", 0),
        most=spec.get("maxReplicaCount", 100),
        polling_s=float(spec.get("pollingInterval", 30)),
        cooldown_s=float(spec.get("cooldownPeriod", 300)),
        initial_cooldown_s=float(spec.get("initialCooldownPeriod", 0)),
        honours_fallback=kind == "AverageValue" and (modifiers is None or (target.isdigit() and int(target) > 0)),
        fallback=_fallback(spec.get("fallback")),
        up=_rules(behavior.get("scaleUp", {}), _UP),
        down=_rules(behavior.get("scaleDown", {}), _DOWN),
        lists={each["name"]: each["metadata"]["listName"] for each in triggers if each["type"] == "redis"},
    )


def read_autoscaler(document: Mapping[str, Any]) -> Scaling:
    """Return what a HorizontalPodAutoscaler with one external metric says; it is never below one replica."""
    spec = document["spec"]
    (metric,) = spec["metrics"]
    target, behavior = metric["external"]["target"], spec.get("behavior", {})
    is_average = target["type"] == "AverageValue"
    return Scaling(
        formula=metric["external"]["metric"]["name"],
        target=float(target["averageValue"] if is_average else target["value"]),
        activation=-math.inf,
        is_average=is_average,
        least=max(1, spec.get("minReplicas", 1)),
        most=spec["maxReplicas"],
        polling_s=math.inf,
        cooldown_s=math.inf,
        initial_cooldown_s=math.inf,
        honours_fallback=False,
        fallback=None,
        up=_rules(behavior.get("scaleUp", {}), _UP),
        down=_rules(behavior.get("scaleDown", {}), _DOWN),
        lists={},
    )


def _fallback(given: Mapping[str, Any] | None) -> Fallback | None:
    if given is None:
        return None
    return Fallback(
        threshold=given["failureThreshold"], replicas=given["replicas"], behavior=given.get("behavior", "static")
    )


def _rules(given: Mapping[str, Any], default: Rules) -> Rules:
    policies = tuple(
        Policy(kind=each["type"], value=each["value"], period_s=float(each["periodSeconds"]))
        for each in given.get("policies", [])
    )
    tolerance = given.get("tolerance")
    return Rules(
        window_s=float(given.get("stabilizationWindowSeconds", default.window_s)),
        select=given.get("selectPolicy", default.select),
        policies=policies or default.policies,
        tolerance=None if tolerance is None else float(tolerance),
    )


def _first(metadata: Mapping[str, str], *names: str, default: str | None = None) -> str:
    for name in names:
        if name in metadata:
            return metadata[name]
    if default is None:
        raise ValueError(f"the trigger has no target; expected one of {', '.join(names)}")
    return default


def _evaluate(node: ast.expr, values: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return values[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_evaluate(left, values), _evaluate(right, values))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return float(_FUNCTIONS[name](*(_evaluate(each, values) for each in arguments)))
        case _:
            raise ValueError(f"{ast.unparse(node)}: expected names, numbers, + - * /, max, min, ceil or floor")
