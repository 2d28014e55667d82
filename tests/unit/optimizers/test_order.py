"""The shared order of cases."""

import numpy as np

from convergence_cluster.optimizers.order import case_order


def test_an_order_holds_every_case_once() -> None:
    order = case_order(20, None, np.random.default_rng(0))

    assert sorted(order.tolist()) == list(range(20))


def test_every_prefix_holds_each_stratum_in_its_share() -> None:
    tags = ["easy"] * 60 + ["hard"] * 30 + ["odd"] * 10

    order = case_order(100, tags, np.random.default_rng(3))

    for n in range(1, 101):
        seen = [tags[i] for i in order[:n]]
        for tag, share in (("easy", 0.6), ("hard", 0.3), ("odd", 0.1)):
            assert abs(seen.count(tag) - share * n) <= 2.0
