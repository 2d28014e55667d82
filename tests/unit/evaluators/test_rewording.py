"""Cases in other words, and what is left out."""

import asyncio
import json

import pytest

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.errors import PermanentError, ProviderStopError
from convergence_cluster.domain.identity import CaseId, Json
from convergence_cluster.evaluators.rewording import Rewording
from convergence_cluster.metering.scoring import Scoring
from tests.unit.evaluators.test_judging import EACH_USD, Model

CASE = TestCase(
    id=CaseId("one"), input={"prompt": 'Who wrote "Faust", in 1808?', "style": "short"}, expected="Goethe", weight=2.0
)
SAME, OTHER = '{"reason": "x", "same": true}', '{"reason": "x", "same": false}'


def said(text: str) -> str:
    return json.dumps({"text": text})


def reworded(*script: str | Exception, case: TestCase = CASE, scoring: Scoring | None = None) -> TestCase | str:
    rewording = Rewording(Model(*script).helper(), max_retries=1)
    return asyncio.run(rewording.reword(case, number=1, scoring=scoring or Scoring()))


def test_a_rewording_that_both_orders_call_the_same_is_a_case() -> None:
    scoring = Scoring()

    found = reworded(said('In 1808, "Faust" came from whom?'), SAME, SAME, scoring=scoring)

    assert isinstance(found, TestCase)
    assert found.input == {"prompt": 'In 1808, "Faust" came from whom?', "style": "short"}
    assert (found.id, found.expected, found.weight) == ("one~r1", "Goethe", 2.0)
    assert found.metadata == {"augmented_from": "one"}
    assert scoring.usd == pytest.approx(3 * EACH_USD)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ((said('Who wrote "Faust" in 1809?'),), "whose rewording changed a number, a quotation or an address"),
        ((said("Who wrote Faust in 1808?"),), "whose rewording changed a number, a quotation or an address"),
        ((said(' Who wrote  "Faust", in 1808? '),), "whose rewording is the same"),
        ((said('In 1808 Goethe wrote "Faust". Who?'),), "whose rewording gives the answer away"),
        ((said('In 1808, who wrote "Faust"?' + " really" * 100),), "whose rewording is far longer"),
        ((said('Who published "Faust" in 1808?'), OTHER), "whose rewording may have another answer"),
        ((said('Who published "Faust" in 1808?'), SAME, OTHER), "whose rewording may have another answer"),
        (("no idea",), "that the model did not reword"),
        ((PermanentError("too long"),), "that the model did not reword"),
    ],
)
def test_anything_doubtful_is_left_out_with_its_reason(script: tuple[str | Exception, ...], reason: str) -> None:
    assert reworded(*script) == reason


@pytest.mark.parametrize("given", [{"a": "x", "b": "y"}, {"messages": []}, {"prompt": " "}])
def test_a_case_without_one_text_is_not_asked_about(given: dict[str, Json]) -> None:
    case = TestCase(id=CaseId("x"), input=given)

    assert reworded(PermanentError("never asked"), case=case) == "without one text to reword"


def test_a_wrong_key_ends_it() -> None:
    with pytest.raises(ProviderStopError):
        reworded(ProviderStopError("wrong key"))


def test_what_it_costs_is_bounded() -> None:
    scoring, rewording = Scoring(), Rewording(Model("no").helper(), max_retries=1)

    asyncio.run(rewording.reword(CASE, number=1, scoring=scoring))

    bound_usd = rewording.bound_usd(CASE)
    assert bound_usd is not None
    assert 0 < scoring.usd <= bound_usd
