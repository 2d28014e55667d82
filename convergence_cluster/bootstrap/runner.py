"""Builds what runs calls: provider, evaluators, prices, limiter. All that a worker needs, and no database."""

import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from convergence_cluster.domain.calls import Call, CallOutcome
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import SpecError
from convergence_cluster.evaluators.builtin import BuiltinEvaluator
from convergence_cluster.evaluators.custom import CustomEvaluator
from convergence_cluster.evaluators.measured import MEASURED
from convergence_cluster.metering.prices import Price, Prices, PriceSettings
from convergence_cluster.metering.rate import RateLimiter
from convergence_cluster.metering.retry import RetryPolicy
from convergence_cluster.providers.credentials import Auth, AuthKind
from convergence_cluster.providers.generic import CostTerm, GenericProvider, RequestRule, ResponseRule
from convergence_cluster.providers.http import Endpoint, HttpTransport, proxy_of
from convergence_cluster.providers.openai_chat import ChatRule, OpenAIChatProvider
from convergence_cluster.providers.routing import RoutedProvider
from convergence_cluster.spec.environment import needed_environment, resolve_endpoint
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.schema_api import ApiSection
from convergence_cluster.spec.schema_response import ResponseSection
from convergence_cluster.telemetry import redactor, secrets_of
from convergence_cluster.trials.protocols import Evaluator, Meter, Provider
from convergence_cluster.trials.running import TrialPlan, TrialRunner

_PER_MILLION = 1e-6
_CHAT = frozenset({"openai", "groq", "together", "mistral", "openrouter", "ollama", "vllm"})
_CHAT_HOSTS = {
    "api.openai.com": "openai",
    "api.groq.com": "groq",
    "api.together.ai": "together",
    "api.together.xyz": "together",
    "api.mistral.ai": "mistral",
    "openrouter.ai": "openrouter",
}
_CHAT_PATH = "/chat/completions"
_NOT_YET = "is not built in yet; describe it with provider: http (request.body, response.result_field, ...)"


class RunnerFactory:
    """Opens and closes the runner on the loop that runs the calls."""

    def __init__(self, study: LoadedStudy, *, environ: Mapping[str, str], meter: Meter, clock: Clock) -> None:
        self._study = study
        self._environ = environ
        self._meter = meter
        self._clock = clock
        self._runner: TrialRunner | None = None
        named = {name: environ.get(name, "") for _, name, _ in needed_environment(study.spec)}
        auth = {name: environ.get(name, "") for name in study.spec.api.auth.environment_names()}
        self._redact = redactor([*auth.values(), *secrets_of(named)])
        self._plan = build_plan(study, build_evaluators(study))
        # What cannot be built fails here, before anything is spent.
        build_provider(study, environ=environ, clock=clock)

    async def open(self) -> Callable[[Call], Coroutine[Any, Any, CallOutcome]]:
        """Return the coroutine function that runs a call."""
        rate = self._study.spec.api.rate
        self._runner = TrialRunner(
            self._plan,
            provider=build_provider(self._study, environ=self._environ, clock=self._clock),
            prices=build_prices(self._study, environ=self._environ, clock=self._clock),
            meter=self._meter,
            limiter=RateLimiter(rpm=rate.rpm, tpm=rate.tpm, concurrency=rate.concurrency),
            clock=self._clock,
            jitter=random.SystemRandom().random,
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


def build_plan(study: LoadedStudy, evaluators: Sequence[Evaluator] = ()) -> TrialPlan:
    """Return what is the same for every call of a study."""
    body = study.spec.api.request.body
    return TrialPlan(
        cases=study.all_cases,
        evaluators=evaluators,
        measured=tuple(dict.fromkeys(metric.name for metric in study.metrics if metric.name in MEASURED)),
        retry=RetryPolicy(max_retries=study.spec.optimization.execution.max_retries),
        prompts=study.prompts,
        fixed=body if isinstance(body, Mapping) else {},
        keeps_answers=study.spec.output.save_answers,
    )


def provider_kind(api: ApiSection, url: str) -> str:
    """Return which wire format an endpoint speaks: what the study says, else by host or path, else `http`."""
    if api.provider is not None:
        return api.provider
    parts = urlsplit(url)
    by_host = _CHAT_HOSTS.get(parts.hostname or "")
    return by_host or ("openai" if parts.path.endswith(_CHAT_PATH) else "http")


def build_provider(study: LoadedStudy, *, environ: Mapping[str, str], clock: Clock) -> Provider:
    """Return the provider of a study; for `api.models`, one that routes by the parameter `model`.

    Raises:
        SpecError: the provider is not built in, or the endpoint names a variable that is not set.
    """
    api = study.spec.api
    urls = [api.endpoint] if api.endpoint else [model.endpoint for model in (api.models or {}).values()]
    proxy_url = proxy_of(resolve_endpoint(urls[0], environ), environ)
    transport = HttpTransport(clock=clock, environ=environ, proxy_url=proxy_url)

    def build(endpoint: str) -> Provider:
        return _build_one(api, resolve_endpoint(endpoint, environ), transport, clock)

    if api.models is None:
        assert api.endpoint is not None
        return build(api.endpoint)
    by_model = {name: build(model.endpoint) for name, model in api.models.items()}
    return RoutedProvider(by_model, default=build(api.endpoint) if api.endpoint else None, close=transport.close)


def _build_one(api: ApiSection, url: str, transport: HttpTransport, clock: Clock) -> Provider:
    endpoint = Endpoint(
        url=url,
        method=api.request.method,
        headers={} if provider_kind(api, url) == "http" else dict(api.request.headers),
        timeout_s=api.request.timeout_seconds,
        auth=_auth(api),
    )
    kind = provider_kind(api, url)
    if kind in _CHAT:
        body = api.request.body if isinstance(api.request.body, Mapping) else {}
        rule = ChatRule(body=body, result=api.response.result_field)
        return OpenAIChatProvider(transport=transport, endpoint=endpoint, clock=clock, rule=rule)
    if kind != "http":
        raise SpecError(f"api.provider: {kind!r} {_NOT_YET}")
    request = RequestRule(
        body=api.request.body, query=dict(api.request.query) or None, headers=dict(api.request.headers) or None
    )
    response = _response_rule(api.response)
    return GenericProvider(transport=transport, endpoint=endpoint, clock=clock, request=request, response=response)


def _auth(api: ApiSection) -> Auth:
    auth = api.auth
    if auth.type == "oauth":
        raise SpecError("api.auth.type: 'oauth' is not built in yet; fetch a token yourself and use type: bearer")
    return Auth(
        kind=AuthKind(auth.type),
        token_env=auth.token_env,
        header_name=auth.header_name,
        username=auth.username or "",
        username_env=auth.username_env,
        password_env=auth.password_env,
    )


def _response_rule(response: ResponseSection) -> ResponseRule:
    return ResponseRule(
        result=response.result_field,
        usage=None if response.usage is None else response.usage.rule(),
        cost=tuple(CostTerm(path=term.path, usd_per_unit=term.usd_per_unit) for term in response.cost),
        error=response.error_field,
        success_when=response.success_rule(),
        model=response.model or "model",
        finish=response.finish,
    )


def build_prices(study: LoadedStudy, *, environ: Mapping[str, str], clock: Clock) -> Prices:
    """Return the study's prices: its own, then those of the installed list for its endpoint."""
    api = study.spec.api
    by_model = {
        name: Price(
            input_per_million_usd=price.input_per_million_usd or 0.0,
            output_per_million_usd=price.output_per_million_usd or 0.0,
            cached_per_million_usd=price.cached_per_million_usd,
            per_call_usd=price.per_call_usd or 0.0,
        )
        for name, price in api.prices.items()
    }
    url = resolve_endpoint(api.endpoint, environ) if api.endpoint else None
    return Prices(PriceSettings(by_model=by_model, api_url=url), clock=clock)


def build_evaluators(study: LoadedStudy) -> list[Evaluator]:
    """Return what scores answers: one built-in evaluator a metric, and the user's own for all of its metrics."""
    evaluators: list[Evaluator] = [
        BuiltinEvaluator(metric=metric.name, function=metric.function, options=metric.options)
        for metric in study.metrics
        if metric.function not in {"measured", "custom"}
    ]
    custom = [metric.name for metric in study.metrics if metric.function == "custom"]
    if custom:
        assert study.evaluator is not None
        evaluators.append(CustomEvaluator(path=study.evaluator.path, function=study.evaluator.function, metrics=custom))
    return evaluators
