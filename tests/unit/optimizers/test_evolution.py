"""Operators, and the policy that chooses among them."""

import numpy as np
import pytest

from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.evolution import BREEDING
from convergence_cluster.optimizers.genome import Codec
from convergence_cluster.optimizers.policy import OPERATORS, OperatorPolicy, earned, policy_context

SPACE = SearchSpace(
    parameters=(
        Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=("a", "b", "c")),
        Parameter(name="t", kind=ParameterKind.CONTINUOUS, low=0.0, high=2.0, step=0.1),
        Parameter(name="k", kind=ParameterKind.ORDINAL, values=(1, 2, 4, 8)),
        Parameter(name="effort", kind=ParameterKind.ORDINAL, values=(1, 2), when={"model": ("b",)}),
    )
)


@pytest.mark.parametrize("name", OPERATORS)
def test_repaired_children_are_configurations_of_the_space(name: str) -> None:
    codec, rng = Codec(SPACE), np.random.default_rng(0)
    parents = codec.repair(codec.random(6, rng), rng)
    before = parents.copy()

    children = codec.repair(BREEDING[name](codec, parents, 50, rng), rng)

    assert len(children) == 50
    np.testing.assert_array_equal(parents, before)
    for row in children:
        configuration = codec.decode(row)
        assert configuration["model"] in {"a", "b", "c"}
        assert configuration["k"] in {1, 2, 4, 8}
        assert 0.0 <= configuration["t"] <= 2.0
        assert ("effort" in configuration) == (configuration["model"] == "b")


def test_crossover_takes_every_gene_from_a_parent() -> None:
    codec, rng = Codec(SPACE), np.random.default_rng(1)
    parents = codec.repair(codec.random(3, rng), rng)

    children = BREEDING["crossover"](codec, parents, 40, rng)

    for j in range(children.shape[1]):
        assert set(np.nan_to_num(children[:, j], nan=-1)) <= set(np.nan_to_num(parents[:, j], nan=-1))


def test_the_operator_that_pays_gets_most_proposals_and_chance_keeps_its_floor() -> None:
    policy, context, rng = OperatorPolicy({}), policy_context(100, 0.5), np.random.default_rng(0)
    for _ in range(200):
        for name in OPERATORS:
            policy.learn(name, context, 1.0 if name == "local" else 0.0)

    shares = policy.shares(context, 256, rng)

    assert sum(shares.values()) == 256
    assert shares["local"] > 128
    assert shares["random"] >= 32


def test_what_a_policy_learned_survives_json_at_half_its_weight() -> None:
    policy, context = OperatorPolicy({}), policy_context(100, 0.5)
    for _ in range(50):
        policy.learn("mutation", context, 1.0)

    heir = OperatorPolicy(policy.state())

    old = np.array(policy.state()["operators"]["mutation"]["moment"])
    np.testing.assert_allclose(heir.state()["operators"]["mutation"]["moment"], 0.5 * old)


def test_a_policy_of_another_context_is_ignored() -> None:
    assert OperatorPolicy({"context": ["other"], "operators": {}}).state() == OperatorPolicy({}).state()


def test_a_policy_switched_off_learns_nothing() -> None:
    policy = OperatorPolicy({}, is_learning=False)

    policy.learn("mutation", policy_context(1, 0.0), 1.0)

    assert policy.state() == OperatorPolicy({}).state()


def test_what_operators_earned_can_be_read_from_their_state() -> None:
    policy, context = OperatorPolicy({}), policy_context(100, 0.5)
    for reward in (1.0, 0.0, 1.0, 1.0):
        policy.learn("local", context, reward)

    found = earned(policy.state())

    assert list(found) == ["local"]
    assert found["local"] == pytest.approx((4.0, 0.75), abs=0.1)
    assert earned({}) == earned({"context": ["other"], "operators": {}}) == {}
