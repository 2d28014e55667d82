"""What alike arms share on single cases."""

import numpy as np

from convergence_cluster.optimizers.evidence import Evidence
from convergence_cluster.optimizers.interplay import Interplay


def _world(shared: float) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], Evidence]:
    rng = np.random.default_rng(0)
    level = np.arange(40) % 4
    features = np.column_stack([np.ones(40), np.eye(4)[level]])
    common = shared * rng.standard_normal((4, 6))
    evidence = Evidence(np.ones(100), can_repeat=False)
    for arm in range(40):
        evidence.add_arm()
        for case in range(6):
            evidence.add(arm, case, 0.5 + common[level[arm], case] + 0.1 * rng.standard_normal())
    return features, evidence


def test_independent_noise_adds_nothing() -> None:
    features, evidence = _world(0.0)
    interplay = Interplay([slice(1, 5)], 100)

    interplay.fit(features, evidence, evidence.means())

    assert interplay.variance(features).max() == 0.0


def test_what_a_model_does_on_the_first_cases_is_trusted_less() -> None:
    features, evidence = _world(0.2)
    interplay = Interplay([slice(1, 5)], 100)

    interplay.fit(features, evidence, evidence.means())

    added = interplay.variance(features)
    expected = 0.04 * (1 / 6 - 1 / 100)
    assert 0.4 * expected < added.mean() < 2.0 * expected
