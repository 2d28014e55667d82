"""How many workers KEDA and the HPA would run: pure, by their arithmetic, from the shipped manifests.

Source: Kubernetes 1.34 `pkg/controller/podautoscaler` (`replica_calculator.go`: GetExternalPerPodMetricReplicas and
GetExternalMetricReplicas; `horizontal.go`: stabilizeRecommendationWithBehaviors and
convertDesiredReplicasWithBehaviorRate); KEDA 2.20 `pkg/scaling/executor/scale_scaledobjects.go` (activation, cooldown)
and `pkg/fallback/fallback.go`.

Not modelled: pods that take long to be ready, KEDA's idle replicas, push scalers, and releases of KEDA that go to
`fallback.replicas` at the first failure (kedacore/keda#6053).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from benchmarks.autoscaling_rules import Fallback, Rules, Scaling

SYNC_S: Final = 15.0
"""How often the HPA decides (`--horizontal-pod-autoscaler-sync-period`)."""
TOLERANCE: Final = 0.1
"""Of the HPA, where a rule sets none (`--horizontal-pod-autoscaler-tolerance`)."""


def desired_replicas(scaling: Scaling, value: float, current: int) -> int:
    """Return what the metric alone asks for, before stabilisation, policies and bounds."""
    per_pod = value / scaling.target
    ratio = per_pod / current if scaling.is_average and current else per_pod
    wanted = math.ceil(per_pod) if scaling.is_average else math.ceil(per_pod * current)
    rules = scaling.up if ratio > 1 else scaling.down
    tolerance = TOLERANCE if rules.tolerance is None else rules.tolerance
    return current if current and abs(ratio - 1.0) <= tolerance else wanted


@dataclass(kw_only=True)
class Autoscaler:
    """KEDA's operator and the HPA it makes. `step` takes the time and the metrics, and returns the replicas.

    Time must not run backwards. `values` are by the triggers' names; None: the source of the metrics does not answer.
    """

    scaling: Scaling
    replicas: int = 0
    _failures: int = 0
    _polled_s: float = -math.inf
    _synced_s: float = -math.inf
    _active_s: float = -math.inf
    _created_s: float | None = None
    _recommended: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)

    def step(self, now_s: float, values: Mapping[str, float] | None) -> int:
        """Do what is due at a moment; return the replicas from then on."""
        if self._created_s is None:
            self._created_s = now_s
        if now_s - self._polled_s >= self.scaling.polling_s:
            self._polled_s = now_s
            self._poll(now_s, values)
        if now_s - self._synced_s >= SYNC_S:
            self._synced_s = now_s
            self._sync(now_s, values)
        return self.replicas

    def _poll(self, now_s: float, values: Mapping[str, float] | None) -> None:
        """KEDA: between 0 and the least. While metrics fail it does nothing: from 0, no fallback starts anything."""
        scaling = self.scaling
        if values is None:
            return
        if scaling.value(values) > scaling.activation:
            self._active_s = now_s
            if self.replicas == 0:
                self.replicas = max(1, scaling.least)
        elif scaling.least == 0 and self.replicas > 0 and self._is_cool(now_s):
            self.replicas = 0
            self._recommended.clear()
            self._changes.clear()

    def _is_cool(self, now_s: float) -> bool:
        assert self._created_s is not None
        if self._active_s == -math.inf:
            return now_s >= self._created_s + self.scaling.initial_cooldown_s
        return now_s >= self._active_s + self.scaling.cooldown_s

    def _sync(self, now_s: float, values: Mapping[str, float] | None) -> None:
        """HPA: between the least, or 1, and the most. At 0 replicas it is switched off."""
        if self.replicas == 0:
            return
        wanted = self._wanted(values)
        if wanted is None:
            return
        stable = self._stabilised(now_s, wanted)
        allowed = self._within_policies(now_s, stable)
        if allowed != self.replicas:
            self._changes.append((now_s, allowed - self.replicas))
            self.replicas = allowed

    def _wanted(self, values: Mapping[str, float] | None) -> int | None:
        """Return what the metric, or KEDA in its place, asks for; None: no answer, so nothing changes."""
        self._failures = self._failures + 1 if values is None else 0
        if values is not None:
            return desired_replicas(self.scaling, self.scaling.value(values), self.replicas)
        fallback = self.scaling.fallback
        if fallback is None or self._failures <= fallback.threshold or not self.scaling.honours_fallback:
            return None
        return desired_replicas(
            self.scaling, _fallback_replicas(fallback, self.replicas) * self.scaling.target, self.replicas
        )

    def _stabilised(self, now_s: float, wanted: int) -> int:
        """Return a recommendation that no window forbids: the least of the recent ones upwards, the most downwards."""
        up_s, down_s = now_s - self.scaling.up.window_s, now_s - self.scaling.down.window_s
        lowest = min([wanted, *(n for at_s, n in self._recommended if at_s > up_s)])
        highest = max([wanted, *(n for at_s, n in self._recommended if at_s > down_s)])
        self._recommended = [(at_s, n) for at_s, n in self._recommended if at_s > min(up_s, down_s)]
        self._recommended.append((now_s, wanted))
        return min(max(self.replicas, lowest), highest)

    def _within_policies(self, now_s: float, wanted: int) -> int:
        current, scaling = self.replicas, self.scaling
        if wanted > current:
            most = max(self._limit(now_s, scaling.up, up=True), current)
            return min(wanted, most, scaling.most)
        if wanted < current:
            least = min(self._limit(now_s, scaling.down, up=False), current)
            return max(wanted, least, scaling.least, 1)
        return _bounded(wanted, scaling)

    def _limit(self, now_s: float, rules: Rules, *, up: bool) -> int:
        """Return how far the policies let the replicas go in one direction."""
        if rules.select == "Disabled":
            return self.replicas
        limits = []
        for policy in rules.policies:
            start = self.replicas - sum(n for at_s, n in self._changes if at_s > now_s - policy.period_s)
            if policy.kind == "Pods":
                limits.append(start + policy.value if up else start - policy.value)
            elif up:
                limits.append(math.ceil(start * (1 + policy.value / 100)))
            else:
                limits.append(int(start * (1 - policy.value / 100)))
        return max(limits) if up == (rules.select == "Max") else min(limits)


def _fallback_replicas(fallback: Fallback, current: int) -> int:
    match fallback.behavior:
        case "currentReplicas":
            return current
        case "currentReplicasIfHigher":
            return max(current, fallback.replicas)
        case "currentReplicasIfLower":
            return min(current, fallback.replicas)
        case _:
            return fallback.replicas


def _bounded(replicas: int, scaling: Scaling) -> int:
    return min(max(replicas, scaling.least, 1), scaling.most)
