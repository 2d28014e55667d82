"""Which arm gets the next calls."""

import numpy as np

from convergence_cluster.optimizers.allocation import duel, next_arm
from convergence_cluster.optimizers.mixtures import N_PARTS, Elsewhere, Parts, joined


def _parts(means: list[float], deviations: list[float]) -> Parts:
    n = len(means)
    shares = np.eye(N_PARTS)[:, :1].repeat(n, axis=1)
    return Parts(shares=shares, means=np.array([means] * N_PARTS), variances=np.array([deviations] * N_PARTS) ** 2)


def test_arms_within_the_margin_of_the_leader_do_not_contest_it() -> None:
    parts = _parts([0.800, 0.799, 0.3], [1e-4, 1e-4, 1e-4])

    results = [duel(parts, 0, 0.01, np.random.default_rng(seed)) for seed in range(20)]

    assert not any(is_beaten for _, _, is_beaten in results)


def test_calls_go_where_a_better_arm_may_be() -> None:
    parts = _parts([0.8, 0.79, 0.5, 0.7], [0.001, 0.001, 0.01, 0.1])
    rng = np.random.default_rng(0)

    chosen = [next_arm(parts, 0, 0.01, np.ones(4, dtype=bool), rng) for _ in range(300)]

    assert chosen.count(3) > 200
    assert chosen.count(2) == 0


def test_a_leader_that_nothing_is_likely_to_beat_is_called_itself() -> None:
    parts = _parts([0.8, 0.5, 0.5], [0.02, 0.01, 0.01])

    chosen = {next_arm(parts, 0, 0.0, np.ones(3, dtype=bool), np.random.default_rng(seed)) for seed in range(20)}

    assert chosen == {0}


def test_only_arms_that_can_be_called_are_chosen() -> None:
    parts = _parts([0.8, 0.7, 0.2], [0.01, 0.1, 0.01])
    rng = np.random.default_rng(1)

    assert next_arm(parts, 0, 0.0, np.zeros(3, dtype=bool), rng) is None
    assert {next_arm(parts, 0, 0.0, np.array([False, False, True]), rng) for _ in range(20)} == {2}


def test_the_cost_of_a_draw_does_not_grow_with_the_arms() -> None:
    n = 10_000
    parts = _parts([0.5] * n, [0.1] * n)

    first, challenger, _ = duel(parts, 5, 0.0, np.random.default_rng(0))

    assert first == 5
    assert challenger != 5


def test_what_nobody_looks_at_gets_its_turn_while_it_may_hold_something_better() -> None:
    known = _parts([0.8, 0.79], [0.001, 0.001])
    rng = np.random.default_rng(0)

    def share_of_turns(count: int) -> float:
        elsewhere = Elsewhere(count=count, share=0.01, mean=0.5, variance=1 / 12)
        parts = joined(known, elsewhere.parts())
        chosen = [next_arm(parts, 0, 0.01, np.ones(3, dtype=bool), rng, elsewhere=elsewhere) for _ in range(400)]
        return chosen.count(2) / 400

    assert share_of_turns(1000) > 0.5
    assert share_of_turns(1) < 0.1
