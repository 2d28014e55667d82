"""The shared order of cases."""

import numpy as np

from convergence_cluster.domain.search import KnownCase
from convergence_cluster.optimizers.order import case_order, known_first


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


def test_cases_that_an_earlier_study_called_most_come_first_and_the_others_stay_in_order() -> None:
    known = [KnownCase(case=0, effect=0.0, n_arms=3), KnownCase(case=4, effect=0.0, n_arms=7)]

    order = known_first(np.array([3, 0, 1, 4, 2]), known)

    assert order.tolist() == [4, 0, 3, 1, 2]
