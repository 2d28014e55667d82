"""What a call can cost at most."""

from typing import Any

import pytest

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.metering.prices import Price, Prices, PriceSettings
from convergence_cluster.trials.reserving import Ceiling
from convergence_cluster.trials.running import TrialPlan
from tests.unit.metering.virtual_time import FixedClock

OUTPUT_ONLY = {"m": Price(output_per_million_usd=1.0)}
INPUT_ONLY = {"m": Price(input_per_million_usd=1.0)}
CASES = (TestCase(id=CaseId("a"), input={"q": "x" * 1000}), TestCase(id=CaseId("b"), input={"q": "ü" * 1000}))


def ceiling(by_model: dict[str, Price], **plan: Any) -> Ceiling:
    prices = Prices(PriceSettings(by_model=by_model), clock=FixedClock())
    return Ceiling(TrialPlan(cases=CASES, evaluators=(), **plan), prices)


def test_output_is_bounded_by_its_limit() -> None:
    bound = ceiling(OUTPUT_ONLY).upper_bound_usd({"model": "m", "max_tokens": 256}, 0)

    assert bound == pytest.approx(256e-6)


def test_every_answer_of_several_counts() -> None:
    bound = ceiling(OUTPUT_ONLY).upper_bound_usd({"model": "m", "max_tokens": 256, "n": 3}, 0)

    assert bound == pytest.approx(3 * 256e-6)


def test_input_is_bounded_by_its_bytes() -> None:
    bounds = [ceiling(INPUT_ONLY).upper_bound_usd({"model": "m"}, case) for case in (0, 1)]

    assert bounds[0] == pytest.approx(1000e-6, rel=0.12)
    assert bounds[1] == pytest.approx(2000e-6, rel=0.06)


def test_a_template_counts_with_all_that_it_inserts() -> None:
    prompts = {"p": {"once.md": "{{ case.q }}", "twice.md": "{{ case.q }} {{ case.q }}", "long.md": "y" * 5000}}
    bounded = ceiling(INPUT_ONLY, prompts=prompts)

    by_prompt = {value: bounded.upper_bound_usd({"model": "m", "p": value}, 0) for value in prompts["p"]}

    assert by_prompt["once.md"] == pytest.approx(1000e-6, rel=0.15)
    assert by_prompt["twice.md"] == pytest.approx(2000e-6, rel=0.1)
    assert by_prompt["long.md"] == pytest.approx(6000e-6, rel=0.05)


def test_fixed_fields_name_the_model_and_the_limit() -> None:
    bounded = ceiling(OUTPUT_ONLY, fixed={"model": "m", "max_tokens": 100})

    assert bounded.upper_bound_usd({}, 0) == pytest.approx(100e-6)
    assert bounded.upper_bound_usd({"max_tokens": 50}, 0) == pytest.approx(50e-6)


@pytest.mark.parametrize("configuration", [{}, {"model": "unknown", "max_tokens": 9}, {"model": "m"}])
def test_what_nothing_bounds_has_no_bound(configuration: dict[str, Any]) -> None:
    assert ceiling(OUTPUT_ONLY).upper_bound_usd(configuration, 0) is None
