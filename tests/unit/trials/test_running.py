"""From a call to its outcome."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from convergence_cluster.domain.calls import Answer, Call, CallOutcome, Finish, OutcomeKind, Request, TestCase, Usage
from convergence_cluster.domain.errors import (
    ConvergenceError,
    InfeasibleError,
    PermanentError,
    ProviderStopError,
    TransientError,
    before_sending,
)
from convergence_cluster.domain.identity import ArmId, CaseId, Configuration, StudyId
from convergence_cluster.metering.prices import Price, Prices, PriceSettings
from convergence_cluster.metering.rate import RateLimiter
from convergence_cluster.metering.retry import RetryPolicy
from convergence_cluster.metering.scoring import Scoring
from convergence_cluster.trials.running import MAX_ANSWER_CHARS, TrialPlan, TrialRunner, max_output_tokens
from tests.unit.metering.virtual_time import FixedClock, now_s, run

CASES = (
    TestCase(id=CaseId("a"), input={"question": "Why?"}, expected="because"),
    TestCase(id=CaseId("b"), input={"question": "How?"}, expected="so"),
)
CALL = Call(
    study=StudyId("study"),
    arm=ArmId(3),
    case=1,
    repeat=2,
    configuration={"model": "m", "max_tokens": 100, "style": "short.md"},
    reserved_usd=0.25,
)
ANSWER = Answer(
    text="so",
    result="so",
    raw={"x": 1},
    usage=Usage(input_tokens=1_000_000, output_tokens=500_000),
    model="m-2026",
    latency_s=0.125,
)


class Scripted:
    """Raises or answers each entry in turn, taking `call_s` seconds; the last one from then on."""

    def __init__(self, *script: Answer | Exception, call_s: float = 0.0) -> None:
        self.script = list(script)
        self.requests: list[Request] = []
        self.sent_at_s: list[float] = []
        self.call_s = call_s
        self.n_in_flight = 0
        self.most_in_flight = 0

    async def send(self, request: Request) -> Answer:
        self.requests.append(request)
        self.sent_at_s.append(now_s())
        self.n_in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.n_in_flight)
        await asyncio.sleep(self.call_s)
        self.n_in_flight -= 1
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(entry, Exception):
            raise entry
        return entry

    async def close(self) -> None:
        pass


class Constant:
    def __init__(self, **metrics: float) -> None:
        self.metrics = metrics
        self.seen: list[tuple[Answer, TestCase, Configuration]] = []

    async def evaluate(
        self, answer: Answer, case: TestCase, configuration: Configuration, scoring: Scoring
    ) -> Mapping[str, float]:
        self.seen.append((answer, case, configuration))
        return self.metrics


class Broken:
    async def evaluate(
        self, answer: Answer, case: TestCase, configuration: Configuration, scoring: Scoring
    ) -> Mapping[str, float]:
        del answer, case, configuration
        raise PermanentError("evaluator.py:f raised ValueError: no")


class Purse:
    """Grants `n_grants` further attempts."""

    def __init__(self, n_grants: int = 100) -> None:
        self.n_grants = n_grants
        self.asked: list[float] = []

    def reserve(self, usd: float) -> bool:
        self.asked.append(usd)
        self.n_grants -= 1
        return self.n_grants >= 0


def runner_of(
    provider: Scripted,
    *,
    evaluators: Sequence[Any] = (),
    purse: Purse | None = None,
    prices: Mapping[str, Price] | None = None,
    limiter: RateLimiter | None = None,
    **plan: Any,
) -> TrialRunner:
    known = {"m": Price(input_per_million_usd=0.01, output_per_million_usd=0.02)} if prices is None else prices
    return TrialRunner(
        TrialPlan(cases=CASES, evaluators=evaluators, **plan),
        provider=provider,
        prices=Prices(PriceSettings(by_model=known), clock=FixedClock()),
        meter=purse or Purse(),
        limiter=limiter or RateLimiter(),
        clock=FixedClock(77.0),
        jitter=lambda: 0.0,
    )


def outcome_of(*script: Answer | Exception, call: Call = CALL, **options: Any) -> CallOutcome:
    async def act() -> CallOutcome:
        return await runner_of(Scripted(*script), **options).run(call)

    return run(act())


def test_an_answered_call_has_everything_that_was_measured() -> None:
    outcome = outcome_of(
        ANSWER, evaluators=[Constant(quality=0.75)], measured=("latency_ms", "cost_usd", "total_tokens")
    )

    assert outcome == CallOutcome(
        call=CALL,
        kind=OutcomeKind.OK,
        metrics={"latency_ms": 125.0, "cost_usd": 0.02, "total_tokens": 1_500_000.0, "quality": 0.75},
        latency_s=0.125,
        cost_usd=0.02,
        price_source=outcome.price_source,
        usage=ANSWER.usage,
        n_attempts=1,
        answer="so",
        model="m-2026",
        finished_at_s=77.0,
    )
    assert str(outcome.price_source).startswith("study file, prices ")


def test_every_attempt_of_a_call_has_one_idempotency_key() -> None:
    provider = Scripted(TransientError(), TransientError(), ANSWER)

    run(_run(provider))

    assert [request.idempotency_key for request in provider.requests] == ["study:3:1:2"] * 3
    assert {request.case.id for request in provider.requests} == {"b"}


async def _run(provider: Scripted, **options: Any) -> CallOutcome:
    return await runner_of(provider, **options).run(CALL)


@pytest.mark.parametrize(
    ("error", "kind", "halts"),
    [
        (InfeasibleError("no such value"), OutcomeKind.INFEASIBLE, False),
        (PermanentError("not accepted"), OutcomeKind.FAILED, False),
        (ProviderStopError("no money"), OutcomeKind.FAILED, True),
        (TransientError("overloaded"), OutcomeKind.FAILED, False),
        (TransientError("come back tomorrow", retry_after_s=9000.0, kind="parked"), OutcomeKind.FAILED, True),
    ],
)
def test_each_failure_has_its_kind_and_no_score(error: Exception, kind: OutcomeKind, halts: bool) -> None:  # noqa: FBT001
    outcome = outcome_of(error, evaluators=[Constant(quality=1.0)])

    assert (outcome.kind, outcome.halts, outcome.error) == (kind, halts, str(error))
    assert outcome.metrics == {}
    assert (outcome.cost_usd, outcome.latency_s, outcome.answer) == (0.0, None, None)


@pytest.mark.parametrize(
    ("finish", "kind"), [(Finish.REFUSAL, OutcomeKind.REFUSED), (Finish.LENGTH, OutcomeKind.TRUNCATED)]
)
def test_refused_and_truncated_answers_are_scored_by_what_they_say(finish: Finish, kind: OutcomeKind) -> None:
    outcome = outcome_of(replace(ANSWER, finish=finish), evaluators=[Constant(quality=0.25)])

    assert (outcome.kind, outcome.metrics["quality"], outcome.answer) == (kind, 0.25, "so")
    assert outcome.cost_usd == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("finish", "kind"), [(Finish.REFUSAL, OutcomeKind.REFUSED), (Finish.LENGTH, OutcomeKind.TRUNCATED)]
)
def test_a_cut_answer_that_cannot_be_scored_keeps_its_kind(finish: Finish, kind: OutcomeKind) -> None:
    outcome = outcome_of(replace(ANSWER, finish=finish), evaluators=[Broken()])

    assert (outcome.kind, outcome.metrics) == (kind, {})
    assert outcome.error == "evaluator.py:f raised ValueError: no"


def test_an_unusual_finish_is_an_answer() -> None:
    assert outcome_of(replace(ANSWER, finish=Finish.OTHER)).kind is OutcomeKind.OK


def test_an_evaluator_that_fails_fails_the_call_which_still_costs() -> None:
    outcome = outcome_of(ANSWER, evaluators=[Constant(quality=1.0), Broken()])

    assert (outcome.kind, outcome.metrics) == (OutcomeKind.FAILED, {})
    assert outcome.error == "evaluator.py:f raised ValueError: no"
    assert outcome.cost_usd == pytest.approx(0.02)
    assert outcome.answer == "so"


def test_an_answer_that_is_of_no_use_costs_what_it_says() -> None:
    outcome = outcome_of(PermanentError("no result at 'text'", answer=ANSWER))

    assert (outcome.kind, outcome.metrics, outcome.error) == (OutcomeKind.FAILED, {}, "no result at 'text'")
    assert outcome.cost_usd == pytest.approx(0.02)
    assert not outcome.is_passing


def test_an_answer_that_is_of_no_use_and_does_not_say_its_cost_costs_its_reserved_maximum() -> None:
    error = PermanentError("no result at 'text'", answer=replace(ANSWER, usage=None))

    outcome = outcome_of(error, call=replace(CALL, reserved_usd=0.25))

    assert (outcome.cost_usd, outcome.price_source) == (0.25, "reserved maximum")


def test_a_metric_that_is_no_number_fails_the_call() -> None:
    outcome = outcome_of(ANSWER, evaluators=[Constant(quality=float("nan"))])

    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.error == "metric 'quality' is nan; a finite number was expected"


@pytest.mark.parametrize(
    ("name", "answer", "message"),
    [("cost_usd", ANSWER, "no price is known for m-2026"), ("output_tokens", replace(ANSWER, usage=None), "how many")],
)
def test_a_measure_that_nobody_knows_fails_the_call_and_is_not_zero(name: str, answer: Answer, message: str) -> None:
    outcome = outcome_of(answer, measured=(name,), prices={})

    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.error is not None
    assert message in outcome.error
    assert (outcome.cost_usd, outcome.price_source) == (0.25, "reserved maximum")


def test_attempts_and_waits_are_counted_apart_from_latency() -> None:
    outcome = outcome_of(TransientError(), TransientError(retry_after_s=30.0), ANSWER)

    assert (outcome.n_attempts, outcome.latency_s) == (3, 0.125)
    assert outcome.waited_s == pytest.approx(30.5)
    assert outcome.metrics["latency_ms"] == 125.0


def test_each_attempt_beyond_the_first_is_reserved() -> None:
    purse = Purse(n_grants=1)

    outcome = outcome_of(TransientError("busy"), purse=purse)

    assert purse.asked == [0.25, 0.25]
    assert (outcome.kind, outcome.n_attempts) == (OutcomeKind.FAILED, 2)


def test_an_attempt_counts_only_if_something_of_it_was_sent() -> None:
    refused = outcome_of(unsent(ProviderStopError("no key")))
    late = outcome_of(unsent(TransientError("no connection")), unsent(TransientError("no connection")), ANSWER)

    assert (refused.n_attempts, refused.n_unsent, refused.cost_usd, refused.halts) == (0, 1, 0.0, True)
    assert (late.kind, late.n_attempts, late.n_unsent) == (OutcomeKind.OK, 1, 2)
    assert late.cost_usd == pytest.approx(0.02)


def test_what_cannot_be_sent_is_tried_as_often_as_what_can() -> None:
    purse = Purse()

    outcome = outcome_of(unsent(TransientError("no connection")), purse=purse, retry=RetryPolicy(max_retries=2))

    assert (outcome.kind, outcome.n_attempts, outcome.n_unsent) == (OutcomeKind.FAILED, 0, 3)
    assert len(purse.asked) == 2
    assert outcome.waited_s == pytest.approx(0.5 + 1.0)


def unsent(error: Exception) -> ConvergenceError:
    with pytest.raises(ConvergenceError) as caught, before_sending():
        raise error
    return caught.value


def test_an_attempt_without_an_answer_costs_its_reserved_maximum() -> None:
    lost = TransientError("cut", kind="unknown")

    answered = outcome_of(lost, TransientError("busy"), ANSWER)
    unanswered = outcome_of(lost, retry=RetryPolicy(max_retries=1))

    assert answered.cost_usd == pytest.approx(0.25 + 0.02)
    assert (unanswered.cost_usd, unanswered.price_source) == (0.5, "reserved maximum")


def test_without_a_price_a_lost_attempt_has_no_known_cost() -> None:
    outcome = outcome_of(TransientError("cut", kind="unknown"), call=replace(CALL, reserved_usd=0.0))

    assert outcome.cost_usd is None


def test_a_prompts_text_takes_the_place_of_its_name_only_on_the_wire() -> None:
    provider = Scripted(ANSWER)
    evaluator = Constant(quality=1.0)

    outcome = run(_run(provider, evaluators=[evaluator], prompts={"style": {"short.md": "Be short."}, "other": {}}))

    assert provider.requests[0].configuration == {"model": "m", "max_tokens": 100, "style": "Be short."}
    assert evaluator.seen[0][2] is CALL.configuration
    assert outcome.call is CALL


def test_a_prompt_without_a_text_fails_the_call_before_it_is_sent() -> None:
    outcome = outcome_of(ANSWER, prompts={"style": {"long.md": "Be long."}})

    assert (outcome.kind, outcome.n_attempts, outcome.cost_usd) == (OutcomeKind.FAILED, 0, 0.0)
    assert outcome.error == "style: no text is known for the prompt 'short.md'"


def test_long_answers_are_kept_in_part() -> None:
    outcome = outcome_of(replace(ANSWER, text="a" * 10_000))

    assert outcome.answer == "a" * MAX_ANSWER_CHARS


def test_a_providers_wish_holds_back_every_call() -> None:
    provider = Scripted(TransientError(retry_after_s=20.0), ANSWER)

    async def act() -> list[CallOutcome]:
        runner = runner_of(provider)
        first = asyncio.create_task(runner.run(CALL))
        await asyncio.sleep(1.0)
        return list(await asyncio.gather(first, *(runner.run(CALL) for _ in range(3))))

    outcomes = run(act())

    assert provider.sent_at_s == pytest.approx([0.0, 20.0, 20.0, 20.0, 20.0])
    assert sorted(outcome.waited_s for outcome in outcomes) == pytest.approx([19.0, 19.0, 19.0, 20.0])


def test_a_pause_between_attempts_leaves_its_place_to_others() -> None:
    provider = Scripted(TransientError(), ANSWER, call_s=0.1)

    async def act() -> None:
        runner = runner_of(provider, limiter=RateLimiter(concurrency=1))
        await asyncio.gather(runner.run(CALL), runner.run(CALL))

    run(act())

    assert provider.most_in_flight == 1
    assert provider.sent_at_s == pytest.approx([0.0, 0.1, 0.6])


def test_a_bug_is_not_taken_for_an_outcome() -> None:
    with pytest.raises(ZeroDivisionError):
        outcome_of(ZeroDivisionError())


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        ({"max_tokens": 64}, 64),
        ({"max_completion_tokens": 32.0}, 32),
        ({"max_output_tokens": 8}, 8),
        ({}, 7),
        ({"max_tokens": None}, 7),
    ],
)
def test_the_limit_on_output_is_found_under_its_usual_names(configuration: Configuration, expected: int) -> None:
    assert max_output_tokens(configuration, default=7) == expected
