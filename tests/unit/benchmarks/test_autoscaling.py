"""The arithmetic of KEDA and the HPA, at hand-computed values, and read from the shipped manifests."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.autoscaling import SYNC_S, Autoscaler, desired_replicas
from benchmarks.autoscaling_rules import Fallback, Policy, Rules, Scaling, read_autoscaler, read_scaled_object

K8S = Path(__file__).parents[3] / "k8s"
SHIPPED = K8S / "components" / "keda" / "scaledobject.yaml"
IDLE = dict.fromkeys(("urgent", "normal", "batch", "backfill", "held"), 0.0)


def shipped() -> Scaling:
    return read_scaled_object(yaml.safe_load(SHIPPED.read_text()))


def messages(n: float, held: float = 0.0) -> dict[str, float]:
    return {**IDLE, "normal": n, "held": held}


def rules(*, window_s: float = 0.0, select: str = "Max", policies: tuple[Policy, ...] = ()) -> Rules:
    free = (Policy(kind="Percent", value=100, period_s=15.0), Policy(kind="Pods", value=1000, period_s=15.0))
    return Rules(window_s=window_s, select=select, policies=policies or free)


def free(**changes: Any) -> Scaling:
    """Return the shipped scaling with no rule that slows it."""
    return replace(shipped(), **{"up": rules(), "down": rules(), **changes})


def run(scaler: Autoscaler, seconds: int, values: Callable[[int], dict[str, float] | None]) -> list[int]:
    return [scaler.step(float(second), values(second)) for second in range(seconds)]


def test_the_shipped_object_sums_all_lists_and_what_is_held() -> None:
    scaling = shipped()

    assert scaling.value({"urgent": 1, "normal": 2, "batch": 4, "backfill": 8, "held": 16}) == 31
    assert scaling.lists == {
        "urgent": "trials",
        "normal": "trials--p3",
        "batch": "trials--p6",
        "backfill": "trials--p9",
        "held": "trials.unacked",
    }
    assert (scaling.target, scaling.activation, scaling.least, scaling.most) == (48, 0, 0, 20)
    assert scaling.honours_fallback


@pytest.mark.parametrize(
    ("value", "current", "expected"),
    [
        (0, 1, 0),
        (1, 1, 1),
        (48, 1, 1),
        (52, 1, 1),  # 1.083 of the target: within the tolerance
        (53, 1, 2),  # 1.104 of it: outside
        (480, 1, 10),
        (480, 10, 10),
        (433, 10, 10),  # 0.902 of it: within
        (431, 10, 9),  # 0.898 of it: outside
        (480, 0, 10),
    ],
)
def test_desired_replicas_are_those_of_the_formula_and_the_tolerance(value: float, current: int, expected: int) -> None:
    assert desired_replicas(shipped(), value, current) == expected


@pytest.mark.parametrize(("value", "current", "expected"), [(96, 3, 6), (50, 3, 3), (24, 4, 2), (24, 0, 0)])
def test_a_target_of_the_kind_value_is_for_all_replicas_together(value: float, current: int, expected: int) -> None:
    assert desired_replicas(replace(shipped(), is_average=False), value, current) == expected


def test_a_rule_may_set_a_tolerance_of_its_own() -> None:
    exact = replace(shipped(), up=replace(shipped().up, tolerance=0.0))

    assert desired_replicas(exact, 49, 1) == 2


def test_nothing_runs_while_nothing_waits() -> None:
    assert set(run(Autoscaler(scaling=shipped()), 600, lambda _: IDLE)) == {0}


def test_the_first_message_starts_one_worker_at_the_next_poll() -> None:
    replicas = run(Autoscaler(scaling=shipped()), 15, lambda s: messages(1) if s >= 1 else IDLE)

    assert replicas == [0] * 5 + [1] * 10


def test_from_one_worker_the_shipped_policies_add_four_then_double() -> None:
    replicas = run(Autoscaler(scaling=shipped()), 61, lambda _: messages(2000))

    assert [replicas[s] for s in (0, 14, 15, 30, 45, 60)] == [5, 5, 10, 20, 20, 20]


def test_more_than_the_most_is_never_asked_for() -> None:
    assert max(run(Autoscaler(scaling=free()), 120, lambda _: messages(1e6))) == 20


def test_going_down_waits_for_its_window_and_then_goes_by_two_a_minute() -> None:
    scaler = Autoscaler(scaling=shipped(), replicas=10)
    replicas = run(scaler, 700, lambda s: messages(480) if s < 100 else messages(1))

    fell = [second for second in range(1, 700) if replicas[second] < replicas[second - 1]]
    assert fell[0] == 150  # the last high recommendation, at 90 s, leaves the window of 60 s
    assert [replicas[fell[0] + 60 * minute] for minute in range(5)] == [8, 6, 4, 2, 1]


def test_ten_percent_of_many_workers_is_more_than_two() -> None:
    scaling = replace(shipped(), most=100)
    scaler = Autoscaler(scaling=replace(scaling, down=replace(scaling.down, window_s=0.0)), replicas=50)

    assert scaler.step(0.0, messages(1)) == 45


def test_the_last_worker_goes_when_the_cooldown_is_over() -> None:
    scaler = Autoscaler(scaling=shipped(), replicas=1)
    replicas = run(scaler, 500, lambda s: messages(3) if s <= 100 else IDLE)

    assert replicas.index(0) == 160


def test_what_is_in_flight_keeps_the_workers() -> None:
    scaler = Autoscaler(scaling=shipped(), replicas=1)

    assert set(run(scaler, 1000, lambda _: messages(0, held=5))) == {1}


def test_a_spike_within_an_upward_window_is_passed_over() -> None:
    scaling = free(up=rules(window_s=60.0), down=rules(window_s=300.0))
    scaler = Autoscaler(scaling=scaling, replicas=2)

    replicas = run(scaler, 200, lambda s: messages(480) if 80 <= s < 100 else messages(96))

    assert set(replicas) == {2}


def test_of_two_policies_min_takes_the_smaller_change_and_disabled_none() -> None:
    policies = (Policy(kind="Percent", value=100, period_s=15.0), Policy(kind="Pods", value=1, period_s=15.0))
    careful = free(up=rules(select="Min", policies=policies))
    still = free(up=rules(select="Disabled"))

    assert Autoscaler(scaling=careful, replicas=4).step(0.0, messages(960)) == 5
    assert Autoscaler(scaling=still, replicas=4).step(0.0, messages(960)) == 4


def test_a_policys_period_counts_what_was_changed_within_it() -> None:
    scaling = free(up=rules(policies=(Policy(kind="Pods", value=3, period_s=60.0),)))
    replicas = run(Autoscaler(scaling=scaling, replicas=1), 61, lambda _: messages(960))

    assert replicas == [4] * 60 + [7]


def test_a_percentage_is_rounded_up_on_the_way_up_and_towards_more_change_on_the_way_down() -> None:
    ten = (Policy(kind="Percent", value=10, period_s=15.0),)

    assert Autoscaler(scaling=free(up=rules(policies=ten)), replicas=5).step(0.0, messages(960)) == 6
    assert Autoscaler(scaling=free(down=rules(policies=ten)), replicas=5).step(0.0, messages(1)) == 4


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [("static", 2), ("currentReplicas", 6), ("currentReplicasIfHigher", 6), ("currentReplicasIfLower", 2)],
)
def test_a_fallback_holds_once_enough_asking_failed(behavior: str, expected: int) -> None:
    scaling = free(fallback=Fallback(threshold=3, replicas=2, behavior=behavior), down=rules())
    replicas = run(Autoscaler(scaling=scaling, replicas=6), 90, lambda _: None)

    assert set(replicas[: int(3 * SYNC_S)]) == {6}
    assert replicas[-1] == expected


def test_from_zero_no_fallback_starts_anything() -> None:
    assert set(run(Autoscaler(scaling=shipped()), 600, lambda _: None)) == {0}


def test_a_fallback_that_keda_ignores_changes_nothing() -> None:
    scaling = replace(shipped(), honours_fallback=False, fallback=Fallback(threshold=0, replicas=9, behavior="static"))

    assert set(run(Autoscaler(scaling=scaling, replicas=6), 600, lambda _: None)) == {6}


def test_a_formula_may_use_arithmetic_and_nothing_else() -> None:
    scaling = replace(shipped(), formula="max(urgent * 2, normal) + ceil(held / 3)")

    assert scaling.value({**IDLE, "urgent": 2, "normal": 3, "held": 4}) == 6
    with pytest.raises(ValueError, match="expected names, numbers"):
        replace(shipped(), formula="__import__('os')").value(IDLE)


def test_several_triggers_without_a_formula_are_refused() -> None:
    document = yaml.safe_load(SHIPPED.read_text())
    del document["spec"]["advanced"]["scalingModifiers"]

    with pytest.raises(ValueError, match="without a formula"):
        read_scaled_object(document)


def test_an_autoscaler_without_keda_keeps_one_replica_and_has_the_same_rules() -> None:
    document = yaml.safe_load((K8S / "overlays" / "hpa" / "autoscaler.yaml").read_text())
    scaling = read_autoscaler(document)

    assert (scaling.up, scaling.down) == (shipped().up, shipped().down)
    assert set(run(Autoscaler(scaling=scaling, replicas=1), 900, lambda _: {"convergence_desired_slots": 0.0})) == {1}
    assert run(Autoscaler(scaling=scaling, replicas=1), 31, lambda _: {"convergence_desired_slots": 640.0})[-1] == 12


def test_defaults_are_those_of_keda_and_kubernetes() -> None:
    spec = {"triggers": [{"type": "redis", "name": "a", "metadata": {"listName": "q", "listLength": "5"}}]}
    scaling = read_scaled_object({"spec": spec})

    assert (scaling.polling_s, scaling.cooldown_s, scaling.most, scaling.least) == (30.0, 300.0, 100, 0)
    assert (scaling.up.window_s, scaling.down.window_s) == (0.0, 300.0)
    assert math.isclose(scaling.target, 5.0)
