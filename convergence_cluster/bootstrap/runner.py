"""Builds what runs calls: provider, evaluators, prices, limiter. All that a worker needs, and no database."""

import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from convergence_cluster.bootstrap.caching import OpenStore, build_answers, build_cache
from convergence_cluster.bootstrap.helpers import ScoringBound, build_helpers
from convergence_cluster.bootstrap.pricing import CostBound
from convergence_cluster.bootstrap.providers import build_provider, default_fields
from convergence_cluster.bootstrap.scorers import build_evaluators, build_labelled, build_repeated
from convergence_cluster.bootstrap.traces import open_traces, traced
from convergence_cluster.domain.calls import Allowance, Call, CallOutcome
from convergence_cluster.domain.clock import Clock
from convergence_cluster.evaluators.measured import MEASURED
from convergence_cluster.metering.prices import Price, Prices, PriceSettings
from convergence_cluster.metering.rate import RateLimiter
from convergence_cluster.metering.retry import RetryPolicy
from convergence_cluster.settings import read_settings
from convergence_cluster.spec.environment import helpers_of, needed_environment, resolve_endpoint
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.telemetry import redactor, secrets_of
from convergence_cluster.trials.protocols import Evaluator, Limiter, Meter, Provider
from convergence_cluster.trials.running import TrialPlan, TrialRunner


class Surroundings(Protocol):
    """What the calls of a study share with those of others."""

    @property
    def open_store(self) -> OpenStore | None:
        """What opens the store of remembered answers, or None where calls are not remembered."""
        ...

    def limiter(self, study: LoadedStudy) -> Limiter:
        """Return what paces a study's calls."""
        ...

    def guarded(self, study: LoadedStudy, provider: Provider) -> Provider:
        """Return the provider behind what protects it."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Alone:
    """A study with a process of its own: its limits are nobody else's."""

    open_store: OpenStore | None = None

    def limiter(self, study: LoadedStudy) -> Limiter:
        """Return what paces a study's calls."""
        rate = study.spec.api.rate
        return RateLimiter(rpm=rate.rpm, tpm=rate.tpm, concurrency=rate.concurrency)

    def guarded(self, study: LoadedStudy, provider: Provider) -> Provider:
        """Return the provider as it is."""
        del study
        return provider


class RunnerFactory:
    """Opens and closes the runner on the loop that runs the calls."""

    def __init__(
        self,
        study: LoadedStudy,
        *,
        environ: Mapping[str, str],
        meter: Meter,
        clock: Clock,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._study = study
        self._environ = environ
        self._meter = meter
        self._clock = clock
        self._around = surroundings or Alone()
        self._runner: TrialRunner | None = None
        named = {name: environ.get(name, "") for _, name, _ in needed_environment(study.spec)}
        auths = [study.spec.api.auth, *(helper.auth for _, helper in helpers_of(study.spec))]
        secrets = [environ.get(name, "") for auth in auths for name in auth.environment_names()]
        self._redact = redactor([*secrets, *secrets_of(named)])
        self._answers = build_answers(study, self._around.open_store, environ=environ, redact=self._redact, clock=clock)
        self._helpers = build_helpers(study, environ=environ, clock=clock, answers=self._answers)
        self._plan = build_plan(study, build_evaluators(study, self._helpers))
        # What cannot be built fails here, before anything is spent.
        build_provider(study, environ=environ, clock=clock)

    async def open(self) -> Callable[[Call], Coroutine[Any, Any, CallOutcome]]:
        """Return the coroutine function that runs a call."""
        if self._answers is not None:
            self._answers.open()
        limiter = self._around.limiter(self._study)
        provider = build_provider(self._study, environ=self._environ, clock=self._clock, heed=heeding(limiter))
        seen = traced(provider, self._study, open_traces(read_settings(self._environ).traces), environ=self._environ)
        self._runner = TrialRunner(
            self._plan,
            provider=self._around.guarded(self._study, seen),
            prices=build_prices(self._study, environ=self._environ, clock=self._clock),
            meter=self._meter,
            limiter=limiter,
            clock=self._clock,
            jitter=random.SystemRandom().random,
            cache=build_cache(self._study, self._answers, environ=self._environ),
        )
        return self._run

    async def _run(self, call: Call) -> CallOutcome:
        """Run a call, and keep every secret that the study names out of what it leaves behind, whoever wrote it."""
        assert self._runner is not None
        outcome = await self._runner.run(call)
        if outcome.error is None and outcome.answer is None:
            return outcome
        error = None if outcome.error is None else self._redact(outcome.error)
        answer = None if outcome.answer is None else self._redact(outcome.answer)
        return replace(outcome, error=error, answer=answer)

    async def close(self) -> None:
        """Free the connections."""
        if self._runner is not None:
            await self._runner.close()
        await self._helpers.close()
        if self._answers is not None:
            await self._answers.close()


def heeding(limiter: Limiter) -> Callable[[Allowance], None]:
    """Return what has a limiter go by what the provider says it still allows."""

    def heed(allowance: Allowance) -> None:
        if allowance.hold_s > 0.0:
            limiter.pause(allowance.hold_s)
        limiter.adopt(rpm=allowance.rpm, tpm=allowance.tpm)

    return heed


def build_plan(study: LoadedStudy, evaluators: Sequence[Evaluator] = ()) -> TrialPlan:
    """Return what is the same for every call of a study."""
    body = study.spec.api.request.body
    return TrialPlan(
        cases=study.all_cases,
        evaluators=evaluators,
        labelled=build_labelled(study, evaluators),
        repeated=build_repeated(study),
        measured=tuple(dict.fromkeys(metric.name for metric in study.metrics if metric.name in MEASURED)),
        retry=RetryPolicy(max_retries=study.spec.optimization.execution.max_retries),
        prompts=study.prompts,
        fixed={**default_fields(study), **(body if isinstance(body, Mapping) else {})},
        keeps_answers=study.spec.output.save_answers,
    )


def build_prices(study: LoadedStudy, *, environ: Mapping[str, str], clock: Clock) -> Prices:
    """Return the study's prices: its own, then those of the installed list for its endpoint."""
    api = study.spec.api
    by_model = {
        name: Price(
            input_per_million_usd=price.input_per_million_usd or 0.0,
            output_per_million_usd=price.output_per_million_usd or 0.0,
            cached_per_million_usd=price.cached_per_million_usd,
            cache_write_per_million_usd=price.cache_write_per_million_usd,
            per_call_usd=price.per_call_usd or 0.0,
        )
        for name, price in api.prices.items()
    }
    url = resolve_endpoint(api.endpoint, environ) if api.endpoint else None
    return Prices(PriceSettings(by_model=by_model, api_url=url), clock=clock)


def cost_bound(study: LoadedStudy, *, environ: Mapping[str, str], clock: Clock) -> CostBound:
    """Return the most that calls of a study can cost."""
    scoring = ScoringBound(study, environ=environ, clock=clock)
    return CostBound(study, build_plan(study), build_prices(study, environ=environ, clock=clock), scoring)
