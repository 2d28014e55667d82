"""How far what earlier studies found is believed."""

import numpy as np
import pytest
from numpy.typing import NDArray

from convergence_cluster.domain.search import KnownArm
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.optimizers.comparison import Surprises
from convergence_cluster.optimizers.genome import Codec
from convergence_cluster.optimizers.inheritance import FIRST_TRUST, OFFSET, Inheritance
from convergence_cluster.optimizers.mixtures import Parts
from convergence_cluster.optimizers.surrogate import Prior

Floats = NDArray[np.float64]
CODEC = Codec(
    SearchSpace(
        parameters=(
            Parameter(name="x", kind=ParameterKind.CATEGORICAL, values=tuple(range(10))),
            Parameter(name="y", kind=ParameterKind.CATEGORICAL, values=tuple(range(4))),
        )
    )
)
CONFIGURATIONS = [{"x": x, "y": y} for x in range(10) for y in range(4)]
ROWS = CODEC.encode(CONFIGURATIONS)
TRUTH = np.array([0.2 + 0.05 * c["x"] + 0.05 * c["y"] for c in CONFIGURATIONS])


def _inheritance(scores: Floats, n: int = 40) -> Inheritance:
    known = [
        KnownArm(configuration=configuration, score=float(score), variance=1e-4)
        for configuration, score in zip(CONFIGURATIONS[:n], scores, strict=False)
    ]
    return Inheritance(CODEC, known, 10)


def _weighed(inheritance: Inheritance, seen: list[int], level: float = 0.0) -> Inheritance:
    rng = np.random.default_rng(0)
    means = TRUTH[seen] + level + 0.05 * rng.standard_normal(len(seen))
    otherwise = -0.5 * ((means - 0.5) ** 2 / 0.04 + np.log(0.04))
    told, n = inheritance.told(ROWS[seen]), len(seen)
    surprises = Surprises(rests=means - told.means, errors=np.full(n, 0.0025), paired=np.zeros(n))
    inheritance.weigh(told, surprises, otherwise, 0.0)
    return inheritance


def test_an_earlier_study_that_calls_bear_out_is_trusted_with_its_offset() -> None:
    inheritance = _weighed(_inheritance(TRUTH), list(range(0, 40, 2)), level=-0.04)

    assert inheritance.trust > 0.99
    assert inheritance.offset == pytest.approx(-0.04, abs=0.02)


@pytest.mark.parametrize("n_seen", [4, 8])
def test_an_earlier_study_that_misleads_is_dropped_after_a_few_arms(n_seen: int) -> None:
    inheritance = _weighed(_inheritance(TRUTH[::-1]), [0, 1, 2, 3, 39, 38, 37, 36][:n_seen])

    assert inheritance.trust < 0.1 ** (n_seen / 4)


def test_arms_are_taken_to_score_what_they_did_until_calls_say_that_they_moved() -> None:
    unmoved = _weighed(_inheritance(TRUTH), list(range(0, 40, 4)))
    changed = TRUTH + 0.06 * np.random.default_rng(1).standard_normal(40)
    moved = _weighed(_inheritance(changed), list(range(40)) * 4)

    assert unmoved.drift**0.5 < 0.008
    assert moved.drift**0.5 > 0.03


def test_before_any_call_it_is_trusted_by_half_and_nothing_is_known_without_one() -> None:
    assert _inheritance(TRUTH).trust == FIRST_TRUST
    assert Inheritance(CODEC, (), 10).trust == 0.0
    assert Inheritance(CODEC, (), 10).told(ROWS).shares.tolist() == [0.0] * len(ROWS)


def test_arms_that_were_not_measured_follow_from_those_that_were() -> None:
    order = np.random.default_rng(1).permutation(40)
    measured = order[:30]
    known = [KnownArm(configuration=CONFIGURATIONS[k], score=float(TRUTH[k]), variance=1e-4) for k in measured]
    inheritance = Inheritance(CODEC, known, 10)

    told = inheritance.told(ROWS)

    assert told.means[measured] == pytest.approx(TRUTH[measured])
    assert told.means[order[30:]] == pytest.approx(TRUTH[order[30:]], abs=0.05)
    assert (told.variances[order[30:]] > told.variances[measured].max()).all()
    assert (told.shares[order[30:]] < 1.0).all()


def test_what_is_told_is_one_part_of_the_belief_and_takes_its_share_from_the_others() -> None:
    inheritance = _inheritance(TRUTH)
    zeros = np.zeros(40)
    prior = Prior(means=zeros, variances=zeros, scales=zeros, told=inheritance.told(ROWS))
    shares = np.array([0.8, 0.1, 0.1, 0.0])[:, None].repeat(40, axis=1)

    parts = inheritance.add_to(Parts(shares=shares, means=np.zeros((4, 40)), variances=np.ones((4, 40))), prior)

    assert parts.shares.sum(axis=0) == pytest.approx(np.ones(40))
    assert parts.shares[0, 0] == pytest.approx(0.8 * (1 - parts.shares[3, 0]))
    assert parts.means[3] == pytest.approx(TRUTH)
    assert (parts.variances[3] > 1e-4).all()


def test_a_level_common_to_all_arms_is_no_contradiction_while_it_is_likely() -> None:
    near = _weighed(_inheritance(TRUTH), list(range(0, 40, 4)), level=OFFSET)
    far = _weighed(_inheritance(TRUTH), list(range(0, 40, 4)), level=8 * OFFSET)

    assert near.trust > 0.9
    assert far.trust < 0.05


def test_a_bred_row_is_recognised_as_the_configuration_that_was_measured() -> None:
    space = SearchSpace(
        parameters=(
            Parameter(name="size", kind=ParameterKind.ORDINAL, values=(1, 2, 4, 8)),
            Parameter(name="tokens", kind=ParameterKind.INTEGER, low=1, high=200, step=1),
            Parameter(name="share", kind=ParameterKind.CONTINUOUS, low=0.0, high=30.0, step=0.25),
            Parameter(name="rate", kind=ParameterKind.CONTINUOUS, low=1.0, high=1000.0, step=0.5, log=True),
        )
    )
    codec, rng = Codec(space), np.random.default_rng(0)
    rows = codec.repair(codec.random(400, rng), rng)
    children = codec.repair(rows - 1e-4 * rng.random(rows.shape), rng)
    known = [KnownArm(configuration=codec.decode(row), score=0.5, variance=1e-6) for row in children]

    told = Inheritance(codec, known, 10).told(children)

    assert (told.shares == 1.0).all()
    assert np.allclose(codec.encode([codec.decode(row) for row in children]), children)


def test_what_was_noted_may_be_forgotten_at_any_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convergence_cluster.optimizers.inheritance._MAX_NOTED", 25)
    inheritance = _inheritance(TRUTH, n=20)
    first = inheritance.told(ROWS[10:30])

    again = inheritance.told(ROWS[10:40])

    assert np.array_equal(again.means[:20], first.means)
    assert (again.shares[:10] == 1.0).all()
    assert (again.shares[10:] < 1.0).all()
