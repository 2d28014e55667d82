"""Old configurations in an edited space."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from convergence_cluster.domain.identity import Configuration, canonical_json
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.storage.mapping import (
    Allowed,
    Candidate,
    elites,
    map_configuration,
    nearest_value,
    standings,
)

MODEL = Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=("mini", "nano", None))
TOKENS = Parameter(name="max_tokens", kind=ParameterKind.ORDINAL, values=(256, 512, 1024))
SHOTS = Parameter(name="n_shots", kind=ParameterKind.INTEGER, low=1, high=8, step=2)
HEAT = Parameter(name="temperature", kind=ParameterKind.CONTINUOUS, low=0.1, high=1.0, step=0.3)
RATE = Parameter(name="rate", kind=ParameterKind.CONTINUOUS, low=0.0, high=2.0)
EFFORT = Parameter(name="effort", kind=ParameterKind.CATEGORICAL, values=("low", "high"), when={"model": ("nano",)})
SPACE = SearchSpace(parameters=(MODEL, TOKENS, SHOTS, HEAT, RATE, EFFORT))
SAME: dict[str, Any] = {"model": "mini", "max_tokens": 512, "n_shots": 3, "temperature": 0.4, "rate": 1.5}


def candidate(configuration: Configuration, **changes: Any) -> Candidate:
    values: dict[str, Any] = {"score": 0.8, "n_calls": 10, "standing": 1.0, "n_later": 0, **changes}
    return Candidate(configuration=configuration, **values)


def test_a_configuration_of_an_unchanged_space_stays_as_it_is() -> None:
    mapped = map_configuration(SAME, SPACE, {})

    assert mapped.configuration == SAME
    assert mapped.n_edits == 0


@pytest.mark.parametrize(
    ("parameter", "old", "new"),
    [
        (TOKENS, 300, 256),
        (TOKENS, 5000, 1024),
        (SHOTS, 4.2, 5),
        (SHOTS, 99, 7),
        (HEAT, 0.0, 0.1),
        (HEAT, 0.69, 0.7),
        (RATE, -1, 0.0),
        (MODEL, None, None),
    ],
)
def test_a_value_outside_moves_to_the_nearest_allowed(parameter: Parameter, old: object, new: object) -> None:
    assert nearest_value(parameter, old) == Allowed(new)


@pytest.mark.parametrize(("parameter", "old"), [(MODEL, "gone"), (TOKENS, "512"), (RATE, True), (SHOTS, None)])
def test_nothing_is_near_a_gone_category_or_another_type(parameter: Parameter, old: object) -> None:
    assert nearest_value(parameter, old) is None


def test_missing_parameters_come_from_the_defaults_else_are_the_first_and_unknown_ones_are_dropped() -> None:
    mapped = map_configuration({"model": "nano", "old": 1, "rate": 1.0}, SPACE, {"max_tokens": 1024, "n_shots": "bad"})

    assert mapped.configuration == {
        "model": "nano",
        "max_tokens": 1024,
        "n_shots": 1,
        "temperature": 0.1,
        "rate": 1.0,
        "effort": "low",
    }
    assert mapped.n_edits == 4


def test_a_parameter_that_does_not_apply_is_absent() -> None:
    assert "effort" not in map_configuration({**SAME, "effort": "high"}, SPACE, {}).configuration


def test_a_finite_list_gives_the_candidate_that_differs_least() -> None:
    candidates = ({**SAME, "model": "nano"}, {**SAME, "rate": 1.4}, {**SAME, "rate": 0.1})

    mapped = map_configuration(SAME, SearchSpace(parameters=SPACE.parameters, candidates=candidates), {})

    assert mapped.configuration == candidates[1]
    assert mapped.n_edits == 1


def test_configurations_that_become_the_same_are_merged_by_their_calls() -> None:
    old = [candidate({**SAME, "gone": 1}, score=0.9, n_calls=30), candidate({**SAME, "gone": 2}, score=0.5, n_calls=10)]

    found, n_edited = elites(old, SPACE, defaults={}, limit=5)

    assert n_edited == 0
    assert len(found) == 1
    assert found[0].score == pytest.approx(0.8)
    assert found[0].n_calls == 40
    assert found[0].weight == pytest.approx(1.0)


def test_evidence_decays_with_later_studies_and_with_edits() -> None:
    old = [candidate(SAME, n_later=2), candidate({**SAME, "max_tokens": 400, "rate": 0.5}, n_later=0)]

    found, n_edited = elites(old, SPACE, defaults={}, limit=5)

    assert n_edited == 1
    assert [elite.weight for elite in found] == pytest.approx([0.7, 0.64])


def test_only_the_most_promising_are_taken() -> None:
    old = [candidate({**SAME, "rate": n / 10}, standing=n / 10) for n in range(10)]

    found, _ = elites(old, SPACE, defaults={}, limit=3)

    assert [elite.configuration["rate"] for elite in found] == [0.9, 0.8, 0.7]


def test_standings_do_not_depend_on_the_scale_of_a_study() -> None:
    assert standings([]) == []
    assert standings([0.5]) == [1.0]
    assert standings([0.7, 0.7]) == [1.0, 1.0]
    assert standings([0.9, 0.6, 0.3]) == pytest.approx(standings([90, 60, 30]))


values = st.none() | st.booleans() | st.floats(-1e6, 1e6) | st.integers(-1000, 1000) | st.sampled_from(["mini", "nano"])


@given(st.dictionaries(st.sampled_from([*SAME, "effort", "other"]), values))
def test_whatever_was_tried_before_maps_to_a_configuration_of_the_space(old: dict[str, Any]) -> None:
    mapped = map_configuration(old, SPACE, {}).configuration

    assert list(mapped) == [parameter.name for parameter in SPACE.parameters if parameter.applies(mapped)]
    for parameter in SPACE.parameters:
        grid = parameter.grid()
        if parameter.name in mapped and grid is not None:
            assert canonical_json(mapped[parameter.name]) in {canonical_json(value) for value in grid}
    assert 0.0 <= mapped["rate"] <= 2.0
