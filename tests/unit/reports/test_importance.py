"""What each parameter explains."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import ArmEstimate, ArmState, Interval
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.reports.importance import importances

SPACE = SearchSpace(
    parameters=(
        Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=("a", "b", "c")),
        Parameter(name="steps", kind=ParameterKind.ORDINAL, values=(1, 2, 4, 8)),
        Parameter(name="idle", kind=ParameterKind.CATEGORICAL, values=(True, False)),
    )
)
MODEL = {"a": 0.0, "b": 0.2, "c": 0.3}


def arm(index: int, configuration: dict[str, object], score: float, reach: float = 1e-6) -> ArmEstimate:
    return ArmEstimate(
        arm=ArmId(index),
        configuration=configuration,
        state=ArmState.ALIVE,
        operator="random",
        score=Interval(mean=score, low=score - reach, high=score + reach),
        n_calls=4,
        n_cases=4,
        p_best=0.0,
    )


def grid(score_of: Callable[[str, int], float], reach: float = 1e-6, seed: int | None = None) -> list[ArmEstimate]:
    points = list(product(("a", "b", "c"), (1, 2, 4, 8), (True, False)))
    spread = 0.0 if seed is None else reach / 1.645
    noise = np.random.default_rng(seed).normal(0, spread, size=len(points))
    return [
        arm(i, {"model": m, "steps": s, "idle": f}, score_of(m, s) + float(noise[i]), reach)
        for i, (m, s, f) in enumerate(points)
    ]


def test_a_noiseless_grid_gives_the_exact_shares_of_the_functional_anova() -> None:
    of_model, of_steps = float(np.var(list(MODEL.values()))), float(np.var([0.0, 0.1, 0.2, 0.3]))

    found = {i.name: i.share.mean for i in importances(SPACE, grid(lambda m, s: 0.3 + MODEL[m] + 0.1 * np.log2(s)))}

    assert found["model"] == pytest.approx(of_model / (of_model + of_steps), abs=0.02)
    assert found["steps"] == pytest.approx(of_steps / (of_model + of_steps), abs=0.02)
    assert found["idle"] == pytest.approx(0, abs=0.01)


def test_what_parameters_do_only_together_belongs_to_none() -> None:
    found = importances(SPACE, grid(lambda m, s: 0.5 + (0.2 if (m == "a") is (s > 2) else -0.2)))

    assert sum(item.share.mean for item in found) < 0.35


def test_noise_alone_is_no_importance() -> None:
    tops = [max(i.share.low for i in importances(SPACE, grid(lambda *_: 0.5, 0.1, seed))) for seed in range(40)]

    assert np.mean([top > 0 for top in tops]) < 0.3


def test_intervals_hold_the_true_share() -> None:
    of_model, of_steps = float(np.var(list(MODEL.values()))), float(np.var([0.0, 0.05, 0.1, 0.15]))
    truth = of_model / (of_model + of_steps)

    found = [
        {i.name: i.share for i in importances(SPACE, grid(lambda m, s: MODEL[m] + 0.05 * np.log2(s), 0.08, seed))}
        for seed in range(60)
    ]

    assert np.mean([f["model"].low <= truth <= f["model"].high for f in found]) > 0.8


def test_effects_are_centred_and_in_the_order_of_the_values() -> None:
    steps = next(i for i in importances(SPACE, grid(lambda _, s: 0.1 * np.log2(s))) if i.name == "steps")

    assert [level.label for level in steps.levels] == ["1", "2", "4", "8"]
    assert [level.effect for level in steps.levels] == pytest.approx([-0.15, -0.05, 0.05, 0.15], abs=0.01)


def test_many_numbers_are_gathered_in_ranges() -> None:
    space = SearchSpace(parameters=(Parameter(name="t", kind=ParameterKind.CONTINUOUS, low=1e-4, high=1.0, log=True),))
    arms = [arm(i, {"t": 10.0 ** (-4 * i / 39)}, 0.5 + 0.01 * i) for i in range(40)]

    (found,) = importances(space, arms)

    assert [sum(level.n_arms for level in found.levels), len(found.levels)] == [40, 6]


@pytest.mark.parametrize("n", [0, 1, 7])
def test_few_configurations_explain_nothing(n: int) -> None:
    assert importances(SPACE, grid(lambda *_: 0.5)[:n]) == ()


def test_a_parameter_that_is_always_the_same_is_left_out() -> None:
    arms = [arm(i, {"model": "ab"[i % 2], "steps": 4, "idle": True}, 0.4 + 0.1 * (i % 2)) for i in range(12)]

    assert [item.name for item in importances(SPACE, arms)] == ["model"]


def test_a_thousand_names_are_gathered_and_stay_quick() -> None:
    names = tuple(f"prompt {i}" for i in range(1000))
    space = SearchSpace(parameters=(Parameter(name="prompt", kind=ParameterKind.CATEGORICAL, values=names),))
    arms = [arm(i, {"prompt": names[i % 1000]}, 0.5 + 0.001 * (i % 7)) for i in range(2000)]

    (found,) = importances(space, arms)

    assert [len(found.levels), sum(level.n_arms for level in found.levels)] == [61, 2000]
    assert "(all others)" in {level.label for level in found.levels}
