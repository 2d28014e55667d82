"""Several draws of one call."""

from dataclasses import replace

import pytest

from convergence_cluster.domain.calls import Answer, CallOutcome, Finish, OutcomeKind, TestCase, Usage
from convergence_cluster.domain.errors import PermanentError, TransientError
from convergence_cluster.domain.identity import Configuration
from convergence_cluster.evaluators.repeating import Consistency, PassAll, same_text
from convergence_cluster.metering.retry import RetryPolicy
from convergence_cluster.metering.scoring import Scoring
from tests.unit.metering.virtual_time import run
from tests.unit.trials.test_running import ANSWER, CALL, Purse, Scripted, runner_of

FOUR = replace(CALL, n_draws=4)
REPEATED = (
    PassAll(metric="sure", of="quality", k=4, mark=1.0),
    Consistency(metric="steady", alike=same_text),
)


class ByText:
    """An answer is worth 1 if it says `so`."""

    async def evaluate(
        self, answer: Answer, case: TestCase, configuration: Configuration, scoring: Scoring
    ) -> dict[str, float]:
        return {"quality": float(answer.text == "so")}


def said(text: str, **changes: object) -> Answer:
    return replace(ANSWER, text=text, **changes)  # type: ignore[arg-type]  # whatever an answer has


def drawn(*script: Answer | Exception, purse: Purse | None = None) -> tuple[CallOutcome, Scripted]:
    provider = Scripted(*script)
    runner = runner_of(
        provider,
        evaluators=[ByText()],
        measured=("latency_ms", "cost_usd"),
        repeated=REPEATED,
        retry=RetryPolicy(max_retries=2, wait_initial_s=0.0),
        purse=purse,
    )

    async def act() -> CallOutcome:
        return await runner.run(FOUR)

    return run(act()), provider


def test_the_draws_of_a_call_are_one_outcome_with_the_means_of_its_metrics() -> None:
    outcome, provider = drawn(said("so", latency_s=0.1), said("so"), said("no", latency_s=0.3), said("so"))

    assert outcome.kind is OutcomeKind.OK
    assert outcome.metrics["quality"] == 0.75
    assert outcome.metrics["sure"] == 0.0
    assert outcome.metrics["steady"] == 0.5
    assert outcome.metrics["cost_usd"] == pytest.approx(0.02)
    assert outcome.metrics["latency_ms"] == pytest.approx((100 + 125 + 300 + 125) / 4)
    assert outcome.cost_usd == pytest.approx(4 * 0.02)
    assert outcome.usage == Usage(input_tokens=4_000_000, output_tokens=2_000_000)
    assert (outcome.n_attempts, outcome.n_unsent, outcome.answer) == (4, 0, "so")
    assert [request.idempotency_key[-2:] for request in provider.requests] == [":8", ":9", "10", "11"]


def test_all_draws_alike_and_right_are_worth_one() -> None:
    outcome, _ = drawn(said("so"))

    assert (outcome.metrics["sure"], outcome.metrics["steady"]) == (1.0, 1.0)


def test_a_draw_that_fails_fails_the_call_and_the_rest_are_not_sent() -> None:
    outcome, provider = drawn(said("so"), PermanentError("no such model"))

    assert (outcome.kind, outcome.metrics) == (OutcomeKind.FAILED, {})
    assert (outcome.n_attempts, outcome.n_unsent) == (2, 2)
    assert outcome.cost_usd == pytest.approx(0.02)
    assert len(provider.requests) == 2


def test_only_retries_ask_for_more_money() -> None:
    purse = Purse()

    outcome, _ = drawn(said("so"), TransientError("cut", kind="unknown"), said("so"), purse=purse)

    assert (outcome.n_attempts, outcome.n_unsent) == (5, 0)
    assert purse.asked == [0.25]
    assert outcome.cost_usd == pytest.approx(4 * 0.02 + 0.25)


def test_each_draw_has_all_its_retries() -> None:
    cut = TransientError("cut")

    outcome, _ = drawn(said("so"), cut, said("so"), said("so"), cut, cut, said("so"))

    assert (outcome.kind, outcome.n_attempts) == (OutcomeKind.OK, 7)


def test_a_cut_draw_marks_the_call_as_cut_and_is_scored() -> None:
    outcome, _ = drawn(said("so"), said("s", finish=Finish.LENGTH), said("so"))

    assert outcome.kind is OutcomeKind.TRUNCATED
    assert outcome.metrics["quality"] == 0.75


def test_answers_from_the_cache_cost_nothing_beside_paid_ones() -> None:
    outcome, _ = drawn(said("so", is_cached=True), said("so", is_cached=True), said("so"))
    cached, _ = drawn(said("so", is_cached=True))

    assert outcome.cost_usd == pytest.approx(2 * 0.02)
    assert not outcome.is_cached
    assert cached.is_cached
