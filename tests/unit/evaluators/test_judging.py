"""A model as the judge: grades, votes, both orders, retries, money, and what it is shown."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from convergence_cluster.domain.calls import Answer, Request, TestCase, Usage
from convergence_cluster.domain.errors import InfeasibleError, PermanentError, ProviderStopError, TransientError
from convergence_cluster.domain.identity import CaseId, Json
from convergence_cluster.evaluators.asserting import AssertEvaluator
from convergence_cluster.evaluators.helping import Helper
from convergence_cluster.evaluators.judging import Ballot, Judge
from convergence_cluster.evaluators.similarity import Similarity
from convergence_cluster.metering.prices import Price, Prices, PriceSettings
from convergence_cluster.metering.rate import RateLimiter
from convergence_cluster.metering.retry import RetryPolicy
from convergence_cluster.metering.scoring import Scoring
from tests.unit.metering.virtual_time import FixedClock

CASE = TestCase(id=CaseId("one"), input={"prompt": "What is 2 + 2?"}, expected="4")
USAGE = Usage(input_tokens=100, output_tokens=10)
PRICE = Price(input_per_million_usd=1000.0, output_per_million_usd=10_000.0)
EACH_USD = 0.2


def reply(text: str, *, raw: Json = None) -> Answer:
    return Answer(text=text, result=text, raw=raw if raw is not None else text, usage=USAGE)


class Model:
    """Answers each entry of its script in turn, the last one from then on."""

    def __init__(self, *script: str | Exception | Answer) -> None:
        self.script = list(script)
        self.requests: list[Request] = []

    async def send(self, request: Request) -> Answer:
        self.requests.append(request)
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(entry, Exception):
            raise entry
        return reply(entry) if isinstance(entry, str) else entry

    def helper(self, *, price: Price | None = PRICE, limit: int | None = 50) -> Helper:
        return Helper(
            name="judge j-1",
            model="j-1",
            parameters={"max_tokens": 50},
            send=self.send,
            prices=Prices(PriceSettings(by_model={} if price is None else {"*": price}), clock=FixedClock()),
            limiter=RateLimiter(),
            jitter=lambda: 0.0,
            max_output_tokens=limit,
            retry=RetryPolicy(max_retries=5, wait_initial_s=0.0),
        )

    def texts(self) -> list[str]:
        return [str(request.case.input["messages"][1]["content"]) for request in self.requests]


def judge_of(model: Model, *, max_retries: int = 2, **ballot: Any) -> Judge:
    chosen = Ballot(**{"votes": 1, "grades": 5} | ballot)
    return Judge(model.helper(), ballot=chosen, max_answer_bytes=500, max_retries=max_retries)


def judged(
    model: Model,
    answer: str = "Four.",
    *,
    scoring: Scoring | None = None,
    judge: Judge | None = None,
    case: TestCase = CASE,
    **assertion: Json,
) -> float:
    """Judge an answer by the assertion that a metric makes of its rubric."""
    chosen = judge or judge_of(model)
    evaluator = AssertEvaluator(
        metric="quality",
        asserts=[{"type": "llm-rubric", "value": "Is it right?", **assertion}],
        takes_unnamed=True,
        threshold=None,
        graders={"llm-rubric": chosen.grade},
        files={},
    )
    given = Answer(text=answer, result=answer, raw=answer)
    return asyncio.run(evaluator.evaluate(given, case, {"heat": 1}, scoring or Scoring()))["quality"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"reason": "x", "grade": 5}', 1.0),
        ('{"grade": 1}', 0.0),
        ('```json\n{"reason": "so {so}", "grade": 3}\n```', 0.5),
        ('{"reason": "first"} then {"grade": 4}', 0.75),
    ],
)
def test_a_grade_becomes_a_share_of_the_scale(text: str, value: float) -> None:
    assert judged(Model(text)) == value


def test_the_judge_sees_rubric_input_expectation_and_answer() -> None:
    model = Model('{"grade": 5}')

    judged(model, value="Says {{ expected }}?")

    (text,) = model.texts()
    assert "# Rubric\nSays 4?" in text
    assert "# Input\nWhat is 2 + 2?" in text
    assert "# Expected\n4" in text
    assert "# Answer\nFour." in text
    assert model.requests[0].configuration == {"model": "j-1", "max_tokens": 50}


def test_a_rubric_may_stand_in_a_file() -> None:
    model = Model('{"grade": 5}')
    evaluator = AssertEvaluator(
        metric="quality",
        asserts=[{"type": "llm-rubric", "value": "file://rubric.md"}],
        takes_unnamed=True,
        threshold=None,
        graders={"llm-rubric": judge_of(model).grade},
        files={"rubric.md": "Long words. " * 300 + "Says {{ expected }}."},
    )

    value = asyncio.run(evaluator.evaluate(reply("4"), CASE, {}, Scoring()))

    assert value == {"quality": 1.0}
    assert "Says 4." in model.texts()[0]


def test_votes_are_averaged_and_each_is_paid() -> None:
    model, scoring = Model('{"grade": 5}', '{"grade": 3}', '{"grade": 1}'), Scoring()

    assert judged(model, votes=3, scoring=scoring) == 0.5
    assert len({request.idempotency_key for request in model.requests}) == 3
    assert scoring.n_asked == 3
    assert scoring.usd == pytest.approx(3 * EACH_USD)
    assert [source.partition(",")[0] for source in scoring.sources] == ["study file"]


def test_a_comparison_is_made_in_both_orders_so_that_a_place_is_worth_nothing() -> None:
    first_wins, ours_wins = Model('{"better": "A"}'), Model('{"better": "A"}', '{"better": "B"}')

    assert judged(first_wins, against="expected") == 0.5
    assert judged(ours_wins, against="expected") == 1.0
    assert judged(Model('{"better": "tie"}'), against="expected", votes=2) == 0.5
    first, second = ours_wins.texts()
    assert "# Answer A\nFour." in first
    assert "# Answer B\n4" in first
    assert "# Answer A\n4" in second


def test_a_reply_without_a_verdict_is_asked_for_again_and_never_a_score() -> None:
    scoring = Scoring()

    assert judged(Model("no idea", '{"grade": 9}', '{"grade": 5}'), scoring=scoring) == 1.0
    assert scoring.n_asked == 3
    with pytest.raises(TransientError, match=r"judge j-1: its reply has no verdict: 'no idea'"):
        judged(Model("no idea"))


def test_all_votes_share_the_retries_that_money_was_set_aside_for() -> None:
    model, scoring = Model("no idea"), Scoring()
    judge = judge_of(model, votes=3, max_retries=2)

    with pytest.raises(TransientError):
        judged(model, judge=judge, scoring=scoring)

    assert len(model.requests) == 3 + 2
    bound_usd = judge.bound_usd({}, "Is it right?", CASE)
    assert bound_usd is not None
    assert scoring.usd <= bound_usd


def test_an_attempt_without_an_answer_is_charged_at_its_bound() -> None:
    scoring = Scoring()

    judged(Model(TransientError("cut", kind="unknown"), '{"grade": 5}'), scoring=scoring)

    assert {source.partition(",")[0] for source in scoring.sources} == {"study file", "reserved maximum"}
    assert scoring.usd > 2 * EACH_USD


def test_without_any_price_the_cost_is_unknown_not_nothing() -> None:
    scoring, model = Scoring(), Model('{"grade": 5}')
    judge = Judge(model.helper(price=None), ballot=Ballot(votes=1, grades=5), max_answer_bytes=500, max_retries=0)

    judged(model, judge=judge, scoring=scoring)

    assert (scoring.n_asked, scoring.n_unpriced, scoring.usd) == (1, 1, 0.0)
    assert judge.bound_usd({}, "x", CASE) is None


@pytest.mark.parametrize("size", [0, 499, 500, 5_000])
def test_what_is_sent_stays_within_what_was_set_aside(size: int) -> None:
    case = replace(CASE, input={"prompt": "é" * 300}, expected={"answer": "ü" * 200})
    rubric, model = "{{ prompt }} or {{ expected }}?", Model('{"grade": 2}', '{"better": "A"}')
    judge = judge_of(model)

    judged(model, "ö" * size, judge=judge, case=case, value=rubric)
    judged(model, "ö" * size, judge=judge, case=case, value=rubric, against="expected")

    bound_usd = judge.bound_usd({}, rubric, case)
    assert bound_usd is not None
    for request in model.requests:
        n_bytes = sum(len(message["content"].encode()) for message in request.case.input["messages"])
        assert (n_bytes + 64) * PRICE.input_per_million_usd / 1e6 <= bound_usd / 3
    if size > 500:
        assert "the answer goes on; it was cut here" in model.texts()[0]


def test_a_template_that_grows_beyond_it_is_refused() -> None:
    with pytest.raises(PermanentError, match="grew beyond what its money was set aside for"):
        judged(Model('{"grade": 5}'), value="{% for x in range(2000) %}{{ expected }}{% endfor %}")


def test_settings_that_the_judge_refuses_stop_the_study_and_say_nothing_of_the_configuration() -> None:
    with pytest.raises(ProviderStopError, match=r"judge j-1 does not accept its `parameters`: no temperature"):
        judged(Model(InfeasibleError("no temperature")))
    with pytest.raises(ProviderStopError, match=r"llm-rubric: judge j-1: wrong key"):
        judged(Model(ProviderStopError("wrong key")))
    with pytest.raises(PermanentError, match="test case 'one', llm-rubric: judge j-1: too long"):
        judged(Model(PermanentError("too long")))


def vectors(*rows: Sequence[float]) -> Answer:
    data = [{"index": index, "embedding": list(row)} for index, row in enumerate(rows)]
    return reply("", raw={"data": list(reversed(data))})


def similar(model: Model, answer: str, value: Json, *, similarity: Similarity | None = None, n: int = 1) -> list[float]:
    chosen = similarity or Similarity(model.helper(limit=0), max_answer_bytes=100, max_retries=0)
    evaluator = AssertEvaluator(
        metric="near",
        asserts=[{"type": "similar", "value": value}],
        takes_unnamed=True,
        threshold=None,
        graders={"similar": chosen.grade},
        files={},
    )
    given = Answer(text=answer, result=answer, raw=answer)

    async def score() -> list[float]:
        return [(await evaluator.evaluate(given, CASE, {}, Scoring()))["near"] for _ in range(n)]

    return asyncio.run(score())


def test_similarity_is_the_cosine_to_the_nearest_reference() -> None:
    assert similar(Model(vectors([3, 4], [0, 2], [4, 3])), "a", ["b", "c"]) == [pytest.approx(0.96)]
    assert similar(Model(vectors([1, 0], [-1, 0])), "a", "b") == [0.0]


def test_references_are_paid_for_once() -> None:
    model = Model(vectors([1, 0], [1, 0]), vectors([0, 1]))

    assert similar(model, "a", "b", n=2) == [1.0, 0.0]
    assert [json.dumps(request.case.input) for request in model.requests] == [
        '{"input": ["a", "b"]}',
        '{"input": ["a"]}',
    ]


@pytest.mark.parametrize(
    "raw", [{}, {"data": []}, {"data": [{"index": 0}]}, {"data": [{"index": 0, "embedding": [1]}]}, "x"]
)
def test_an_answer_without_an_embedding_for_each_text_is_no_score(raw: Json) -> None:
    with pytest.raises(TransientError, match="no embedding for each text"):
        similar(Model(reply("", raw=raw)), "a", "b")


def test_an_empty_answer_is_like_nothing_and_costs_nothing() -> None:
    model = Model(PermanentError("never asked"))

    assert similar(model, " ", "b") == [0.0]
    assert model.requests == []


def settled(assertion: Mapping[str, Json]) -> float | None:
    return judge_of(Model("x")).bound_usd(assertion, "r", CASE)


def test_the_bound_counts_votes_orders_and_retries() -> None:
    one, three, both = settled({}), settled({"votes": 3}), settled({"votes": 3, "against": "expected"})

    assert one is not None
    assert three == pytest.approx(one / 3 * 5)
    assert both == pytest.approx(one / 3 * 8)
