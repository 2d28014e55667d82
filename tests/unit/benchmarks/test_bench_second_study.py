"""What a study of a table leaves to the next one."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.second_study import FirstStudy, inherited
from benchmarks.tables import Table
from benchmarks.worlds import draw_world
from convergence_cluster.domain.search import Legacy
from convergence_cluster.optimizers.racing import RacingSearch


def _table() -> Table:
    rng = np.random.default_rng(4)
    quality = np.linspace(0.1, 0.9, 12)
    score = np.clip(quality[:, None] + rng.normal(0, 0.1, size=(12, 30)), 0, 1).astype(np.float32)
    columns: dict[str, list[Any]] = {"config_id": list(range(12)), "model": [f"m{row:02d}" for row in range(12)]}
    return Table(name="toy", params={"model": "categorical"}, columns=columns, score=score)


def _legacy(first: FirstStudy) -> Legacy:
    table = _table()
    return inherited(RacingSearch, table, draw_world(table, 1), 4, 360, first)


def _told_and_true(legacy: Legacy) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth = _table().true_mean
    told = np.array([arm.score for arm in legacy.arms])
    return told, np.array([truth[int(str(arm.configuration["model"])[1:])] for arm in legacy.arms])


def test_a_second_study_is_told_what_the_first_measured_of_every_arm_and_case() -> None:
    legacy = _legacy(FirstStudy.SAME)

    told, true = _told_and_true(legacy)

    assert len(legacy.arms) == 12
    assert np.abs(told - true).mean() < 0.05
    assert legacy.elites[0].configuration == {"model": "m11"}
    assert len(legacy.cases) >= len(legacy.arms[0].cases) >= 4


def test_cases_are_known_by_what_they_are_not_by_their_place() -> None:
    world = draw_world(_table(), 1)
    best = _legacy(FirstStudy.SAME).arms[0]

    cases = [case for case, _ in best.cases]
    assert [score for _, score in best.cases] == pytest.approx(world.outcomes[0, 11, cases].tolist(), abs=1e-3)


def test_of_other_cases_nothing_is_known() -> None:
    legacy = _legacy(FirstStudy.OTHER_CASES)

    assert legacy.cases == ()
    assert not any(arm.cases for arm in legacy.arms)
    assert len(legacy.arms) == 12


@pytest.mark.parametrize(("first", "correlation"), [(FirstStudy.REVERSED, -0.9), (FirstStudy.SHUFFLED, 0.5)])
def test_a_misleading_legacy_says_of_one_arm_what_was_found_of_another(first: FirstStudy, correlation: float) -> None:
    told, true = _told_and_true(_legacy(first))

    assert np.corrcoef(told, true)[0, 1] < correlation
