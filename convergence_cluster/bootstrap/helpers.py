"""Builds the models that help to score: the judge, and the model of embeddings."""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from convergence_cluster.bootstrap.caching import helper_cache
from convergence_cluster.bootstrap.dialects import chat_format, provider_kind
from convergence_cluster.bootstrap.providers import build_endpoint
from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.evaluators.helping import Helper
from convergence_cluster.evaluators.judging import Ballot, Judge
from convergence_cluster.evaluators.similarity import Similarity
from convergence_cluster.metering.prices import Price, Prices, PriceSettings
from convergence_cluster.metering.rate import RateLimiter
from convergence_cluster.metering.retry import RetryPolicy
from convergence_cluster.providers.http import HttpTransport
from convergence_cluster.providers.proxies import proxy_of
from convergence_cluster.spec.assertions import EMBEDDED, FILE, JUDGED, bare_type, file_name
from convergence_cluster.spec.environment import resolve_endpoint
from convergence_cluster.spec.labels import Labelled
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.metrics import every_assertion
from convergence_cluster.spec.schema_helper import HelperSection
from convergence_cluster.spec.schema_response import ResponseSection
from convergence_cluster.trials.caching import Answers
from convergence_cluster.trials.running import max_output_tokens

_USAGE = {"input_tokens": "usage.prompt_tokens"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Helpers:
    """The helping models of one study; None: it has no such one."""

    judge: Judge | None
    similarity: Similarity | None
    close: Callable[[], Awaitable[None]]


def build_helpers(
    study: LoadedStudy, *, environ: Mapping[str, str], clock: Clock, answers: Answers | None = None
) -> Helpers:
    """Return the models that a study's metrics ask; `answers` are what they said in earlier studies.

    No connection is opened before the first question.

    Raises:
        SpecError: the judge's endpoint is no chat, or names a variable that is not set.
    """
    evaluation = study.spec.evaluation
    closes: list[Callable[[], Awaitable[None]]] = []

    def helper(section: HelperSection, name: str) -> Helper:
        built, close = open_helper(section, name, environ=environ, clock=clock, answers=answers)
        closes.append(close)
        return built

    async def close_all() -> None:
        for close in closes:
            await close()

    judge, embeddings = evaluation.judge, evaluation.embeddings
    return Helpers(
        judge=None
        if judge is None
        else Judge(
            helper(judge, "judge"),
            ballot=Ballot(votes=judge.votes, grades=judge.grades),
            max_answer_bytes=judge.max_answer_bytes,
            max_retries=judge.max_retries,
        ),
        similarity=None
        if embeddings is None
        else Similarity(
            helper(embeddings, "embeddings"),
            max_answer_bytes=embeddings.max_answer_bytes,
            max_retries=embeddings.max_retries,
        ),
        close=close_all,
    )


def open_helper(
    section: HelperSection,
    name: str,
    *,
    environ: Mapping[str, str],
    clock: Clock,
    answers: Answers | None = None,
) -> tuple[Helper, Callable[[], Awaitable[None]]]:
    """Return a model that helps, and what frees its connections.

    Raises:
        SpecError: it has to chat and its endpoint does not, or names a variable that is not set.
    """
    proxy_url = proxy_of(resolve_endpoint(section.endpoint, environ), environ)
    transport = HttpTransport(clock=clock, environ=environ, proxy_url=proxy_url)
    return _helper(section, name, transport, environ=environ, clock=clock, answers=answers), transport.close


def _helper(
    section: HelperSection,
    name: str,
    transport: HttpTransport,
    *,
    environ: Mapping[str, str],
    clock: Clock,
    answers: Answers | None,
) -> Helper:
    url = resolve_endpoint(section.endpoint, environ)
    api = section.api(name)
    kind = provider_kind(api, url)
    wire = chat_format(kind, url)
    if name != "embeddings" and wire is None:
        raise SpecError(
            f"the endpoint of the {name}, {url!r}, is no chat that is built in; expected a URL that ends in "
            "/chat/completions, or its provider"
        )
    if name == "embeddings":
        response = ResponseSection.model_validate({"usage": _USAGE})
        api = api.model_copy(update={"provider": "http", "response": response})
    fixed: Mapping[str, Json] = {} if wire is None or name == "embeddings" else wire.defaults
    limit = max_output_tokens({**fixed, **section.parameters}, default=-1)
    return Helper(
        name=f"{name} {section.model}",
        model=section.model,
        parameters=section.parameters,
        send=build_endpoint(api, url, transport=transport, environ=environ, clock=clock).send,
        prices=_prices(section, url, clock),
        limiter=RateLimiter(rpm=section.rate.rpm, tpm=section.rate.tpm, concurrency=section.rate.concurrency),
        jitter=random.SystemRandom().random,
        max_output_tokens=0 if name == "embeddings" else None if limit < 0 else limit,
        retry=RetryPolicy(max_retries=section.max_retries),
        recall=helper_cache(answers, kind=kind, url=url, api=api),
    )


def _prices(section: HelperSection, url: str, clock: Clock) -> Prices:
    price = section.prices
    own = (
        {}
        if price is None
        else {
            "*": Price(
                input_per_million_usd=price.input_per_million_usd or 0.0,
                output_per_million_usd=price.output_per_million_usd or 0.0,
                cached_per_million_usd=price.cached_per_million_usd,
                cache_write_per_million_usd=price.cache_write_per_million_usd,
                per_call_usd=price.per_call_usd or 0.0,
            )
        }
    )
    return Prices(PriceSettings(by_model=own, api_url=url), clock=clock)


class ScoringBound:
    """The most that scoring an answer to each case can cost. Opens no connection."""

    def __init__(self, study: LoadedStudy, *, environ: Mapping[str, str], clock: Clock) -> None:
        self._study = study
        self._judge_asked = [each for each in every_assertion(study.metrics, ()) if _is_helped(each)]
        self._helpers = None
        if self._judge_asked or any(_is_helped(each) for each in every_assertion((), study.all_cases)):
            self._helpers = build_helpers(study, environ=environ, clock=clock)
        self._known: dict[int, float | None] = {}

    def usd(self, case: int) -> float | None:
        """Return the bound in USD; None: nothing bounds it."""
        if self._helpers is None:
            return 0.0
        if case not in self._known:
            cases, labels = self._study.all_cases, self._study.labels
            self._known[case] = self._usd(cases[case]) if case < len(cases) else self._label(labels[case - len(cases)])
        return self._known[case]

    def unbounded(self) -> str | None:
        """Return which of `evaluation.judge` and `evaluation.embeddings` nothing bounds, or None."""
        case = self._study.all_cases[0]
        judge, similarity = (None, None) if self._helpers is None else (self._helpers.judge, self._helpers.similarity)
        if judge is not None and judge.bound_usd({}, "", case) is None:
            return "judge"
        return "embeddings" if similarity is not None and similarity.bound_usd("", case) is None else None

    def _usd(self, case: TestCase) -> float | None:
        total_usd = 0.0
        for each in [*self._judge_asked, *filter(_is_helped, every_assertion((), (case,)))]:
            each_usd = self._of(each, case)
            if each_usd is None:
                return None
            total_usd += each_usd
        return total_usd

    def _label(self, labelled: Labelled) -> float | None:
        own = [metric for metric in self._study.metrics if metric.name == labelled.metric]
        return next((self._of(each, labelled.case) for each in every_assertion(own, ())), 0.0)

    def _of(self, assertion: Mapping[str, Json], case: TestCase) -> float | None:
        assert self._helpers is not None
        texts = "\n".join(str(self._text(value)) for value in _as_list(assertion.get("value", "")))
        if bare_type(assertion["type"]) == JUDGED:
            return None if self._helpers.judge is None else self._helpers.judge.bound_usd(assertion, texts, case)
        return None if self._helpers.similarity is None else self._helpers.similarity.bound_usd(texts, case)

    def _text(self, value: Json) -> Json:
        is_file = isinstance(value, str) and value.startswith(FILE)
        return self._study.files[file_name(value)] if is_file else value


def _is_helped(assertion: Mapping[str, Json]) -> bool:
    return bare_type(assertion["type"]) in {JUDGED, EMBEDDED}


def _as_list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list | tuple) else [value]
