"""The only code that runs a trial's calls: request, attempts, answer, cost, metrics, outcome."""

import json
import math
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from convergence_cluster.domain.calls import (
    Answer,
    Call,
    CallOutcome,
    Finish,
    OutcomeKind,
    Request,
    TestCase,
)
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import (
    ConvergenceError,
    InfeasibleError,
    LeaseLost,
    PermanentError,
    ProviderStopError,
    TransientError,
)
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.evaluators.measured import measure
from convergence_cluster.evaluators.repeating import Repeated
from convergence_cluster.metering.prices import Cost, Prices
from convergence_cluster.metering.retry import RetryPolicy, Tally, with_retries
from convergence_cluster.metering.scoring import Scoring
from convergence_cluster.trials.caching import AnswerCache
from convergence_cluster.trials.drawing import Draw, merged_metrics, merged_usage, settled
from convergence_cluster.trials.expecting import ExpectedOutput
from convergence_cluster.trials.protocols import Evaluator, Limiter, Meter, Provider

MAX_ANSWER_CHARS = 4_000
MAX_TOKENS_NAMES = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_CHARS_PER_TOKEN = 4
_KINDS = {Finish.REFUSAL: OutcomeKind.REFUSED, Finish.LENGTH: OutcomeKind.TRUNCATED}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialPlan:
    """What is the same for every call of a study."""

    cases: Sequence[TestCase]
    evaluators: Sequence[Evaluator]
    repeated: Sequence[Repeated] = ()
    """Metrics of all draws of a call together."""
    labelled: Sequence["LabelledAnswer"] = ()
    """Answers that only a judge sees; their indices in calls follow those of the cases."""
    measured: Collection[str] = ("latency_ms",)
    """Names of `evaluators.measured.MEASURED`; one that cannot be told makes the call FAILED."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    prompts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For each parameter that is a prompt: the text of every value (a file's name) it can take."""
    fixed: Mapping[str, Json] = field(default_factory=dict)
    """Fields of every request that no parameter overrules, as far as `model` or a limit on output is among them."""
    keeps_answers: bool = True
    """Whether outcomes carry the answer's text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledAnswer:
    """An answer that people have graded, and what grades it too."""

    case: TestCase
    text: str
    judge: Evaluator


class TrialRunner:
    """Runs calls of one study against one provider, any number at once on one asyncio loop."""

    def __init__(
        self,
        plan: TrialPlan,
        *,
        provider: Provider,
        prices: Prices,
        meter: Meter,
        limiter: Limiter,
        clock: Clock,
        jitter: Callable[[], float],
        cache: AnswerCache | None = None,
    ) -> None:
        self._plan = plan
        self._provider = provider
        self._prices = prices
        self._meter = meter
        self._limiter = limiter
        self._clock = clock
        self._jitter = jitter
        self._cache = cache
        self._expected = ExpectedOutput()
        self._n_chars = tuple(len(json.dumps(dict(case.input), ensure_ascii=False)) for case in plan.cases)

    async def run(self, call: Call) -> CallOutcome:
        """Run one call to its end, retries included, and return its outcome.

        What goes wrong with the provider, the answer or its scoring is part of the outcome. An exception is a bug or a
        cancellation.
        """
        if call.case >= len(self._plan.cases):
            return await self._examine(call)
        tally, scoring, draws = Tally(), Scoring(), list[Draw]()
        error: ConvergenceError | None = None
        try:
            for number in range(call.n_draws):
                draws.append(Draw())
                await self._draw(call, number, draws[-1], tally, scoring)
        except (PermanentError, TransientError, LeaseLost) as failure:
            error = failure
        return _with_scoring(self._outcome(call, tally, draws, error), scoring)

    async def _draw(self, call: Call, number: int, draw: Draw, tally: Tally, scoring: Scoring) -> None:
        """Get one answer and score it, as far as that goes."""
        case, own = self._plan.cases[call.case], Tally()  # each draw has all its retries
        scoring.repeat = call.repeat * call.n_draws + number
        try:
            draw.answer = await self._answer(call, case, number, own)
        except PermanentError as error:
            draw.answer = error.answer
            raise
        finally:
            tally.add(own)
            draw.cost = None if draw.answer is None else self._cost(call, draw.answer)
        draw.metrics = await self._metrics(call, case, draw.answer, draw.cost, scoring)

    async def _examine(self, call: Call) -> CallOutcome:
        """Let a judge grade an answer that people have graded; nothing is sent to the API."""
        labelled, scoring = self._plan.labelled[call.case - len(self._plan.cases)], Scoring()
        answer = Answer(text=labelled.text, result=labelled.text, raw=labelled.text)
        try:
            metrics = await labelled.judge.evaluate(answer, labelled.case, {}, scoring)
        except (PermanentError, TransientError) as error:
            return _with_scoring(self._outcome(call, Tally(), (), error), scoring)
        return _with_scoring(replace(self._outcome(call, Tally(), (), None), metrics=metrics), scoring)

    async def close(self) -> None:
        """Free the provider's connections."""
        await self._provider.close()

    def _cost(self, call: Call, answer: Answer) -> Cost | None:
        model = model_of({**self._plan.fixed, **call.configuration}) or answer.model
        return self._prices.cost(model=model, usage=answer.usage, reported_usd=answer.cost_usd)

    async def _answer(self, call: Call, case: TestCase, number: int, tally: Tally) -> Answer:
        request = Request(
            configuration=with_prompts(call.configuration, self._plan.prompts),
            case=case,
            idempotency_key=f"{call.study}:{call.arm}:{call.case}:{call.repeat * call.n_draws + number}",
        )
        if self._cache is not None and (found := await self._cache.find(request)) is not None:
            tally.n_attempts += 1
            return found
        answer = await self._send(call, request, tally)
        if self._cache is not None:
            await self._cache.keep(request, answer)
        return answer

    async def _send(self, call: Call, request: Request, tally: Tally) -> Answer:
        limits = {**self._plan.fixed, **call.configuration}
        n_output = self._expected.tokens(max_output_tokens(limits, default=-1))
        n_tokens = self._n_chars[call.case] // _CHARS_PER_TOKEN + n_output
        return await with_retries(
            lambda: self._attempt(request, n_tokens, tally),
            policy=self._plan.retry,
            tally=tally,
            jitter=self._jitter,
            reserve=lambda: self._meter.reserve(call.reserved_usd),
        )

    async def _attempt(self, request: Request, n_tokens: int, tally: Tally) -> Answer:
        tally.waited_s += await self._limiter.acquire(n_tokens)
        try:
            answer = await _counted(self._provider.send(request), tally)
        except TransientError as error:
            if error.kind == "unknown":
                tally.n_unknown += 1
            if error.retry_after_s is not None and error.retry_after_s <= self._plan.retry.retry_after_max_s:
                self._limiter.pause(error.retry_after_s)
            raise
        finally:
            self._limiter.release()
        if answer.usage is not None:
            self._expected.learn(answer.usage)
            self._limiter.correct(answer.usage.input_tokens + answer.usage.output_tokens - n_tokens)
        return answer

    async def _metrics(
        self, call: Call, case: TestCase, answer: Answer, cost: Cost | None, scoring: Scoring
    ) -> Mapping[str, float]:
        cost_usd = None if cost is None else cost.usd
        metrics = dict(measure(self._plan.measured, answer, cost_usd))
        priced = replace(answer, cost_usd=cost_usd)
        for evaluator in self._plan.evaluators:
            metrics.update(await evaluator.evaluate(priced, case, call.configuration, scoring))
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise PermanentError(f"metric {name!r} is {value}; a finite number was expected")
        return metrics

    def _outcome(self, call: Call, tally: Tally, draws: Sequence[Draw], error: ConvergenceError | None) -> CallOutcome:
        usd, source = settled(call, tally, draws)
        answers = [draw.answer for draw in draws if draw.answer is not None]
        first = answers[0] if answers else None
        cut = next((kind for answer in answers if (kind := _KINDS.get(answer.finish)) is not None), None)
        return CallOutcome(
            call=call,
            kind=OutcomeKind.SKIPPED if isinstance(error, LeaseLost) else cut or _kind_of(error),
            metrics=merged_metrics(draws, self._plan.repeated) if draws and error is None else {},
            latency_s=fmean([answer.latency_s for answer in answers]) if answers else None,
            cost_usd=usd,
            price_source=source,
            n_attempts=tally.n_attempts,
            n_unsent=call.n_draws - len(draws) + tally.n_unsent,
            waited_s=tally.waited_s,
            usage=merged_usage(answers),
            answer=None if first is None or not self._plan.keeps_answers else first.text[:MAX_ANSWER_CHARS],
            model=None if first is None else first.model,
            is_cached=bool(answers) and all(answer.is_cached for answer in answers),
            error=None if error is None else str(error),
            halts=_halts(error),
            is_passing=isinstance(error, TransientError),
            finished_at_s=self._clock.now_s(),
        )


async def _counted(answer: Awaitable[Answer], tally: Tally) -> Answer:
    """Await one attempt; it counts if anything of it was sent, for only then it may be paid for."""
    tally.n_attempts += 1
    try:
        return await answer
    except ConvergenceError as error:
        if error.is_unsent:
            tally.n_attempts -= 1
            tally.n_unsent += 1
        raise


def with_prompts(configuration: Configuration, prompts: Mapping[str, Mapping[str, str]]) -> Configuration:
    """Return the configuration with the text of each prompt in place of its file's name.

    Raises:
        PermanentError: a prompt has no text.
    """
    if not prompts:
        return configuration
    texts = {name: by_value for name, by_value in prompts.items() if name in configuration}
    for name, by_value in texts.items():
        if configuration[name] not in by_value:
            raise PermanentError(f"{name}: no text is known for the prompt {configuration[name]!r}")
    return {**configuration, **{name: by_value[configuration[name]] for name, by_value in texts.items()}}


def max_output_tokens(configuration: Configuration, *, default: int) -> int:
    """Return the limit on output tokens that a configuration sets, under any of its usual names."""
    for name in MAX_TOKENS_NAMES:
        value = configuration.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value)
    return default


def model_of(configuration: Configuration) -> str | None:
    """Return the model that a request asks for, or None where it does not say."""
    model = configuration.get("model")
    return model if isinstance(model, str) else None


def _with_scoring(outcome: CallOutcome, scoring: Scoring) -> CallOutcome:
    if not scoring.clamped and not scoring.n_asked:
        return outcome
    return replace(
        outcome,
        clamped=scoring.clamped,
        scoring_usd=None if scoring.n_unpriced else scoring.usd,
        scoring_source=", ".join(sorted(scoring.sources)) or None,
        scoring_cached_usd=scoring.cached_usd,
    )


def _kind_of(error: ConvergenceError | None) -> OutcomeKind:
    if error is None:
        return OutcomeKind.OK
    return OutcomeKind.INFEASIBLE if isinstance(error, InfeasibleError) else OutcomeKind.FAILED


def _halts(error: ConvergenceError | None) -> bool:
    """A refusal for hours stops the study as a refusal for good does: nothing is lost, and `resume` goes on later."""
    return isinstance(error, ProviderStopError) or (isinstance(error, TransientError) and error.kind == "parked")
