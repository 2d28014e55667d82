"""Builds the adapter for a study's API, filled with what the study says."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from convergence_cluster.bootstrap.dialects import chat_format, completed_url, provider_kind
from convergence_cluster.bootstrap.generic import (
    polling_rule,
    request_rule,
    resolve_in,
    response_rule,
    step,
    with_own_response,
)
from convergence_cluster.domain.calls import Allowance
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.evaluators.custom import load_function
from convergence_cluster.providers.apify import apify
from convergence_cluster.providers.browserbase import BrowserbaseProvider
from convergence_cluster.providers.chat import ChatFormat, ChatProvider, ChatRule
from convergence_cluster.providers.credentials import Auth, AuthKind
from convergence_cluster.providers.firecrawl import firecrawl
from convergence_cluster.providers.functions import FunctionProvider
from convergence_cluster.providers.generic import GenericProvider
from convergence_cluster.providers.headroom import Headroom
from convergence_cluster.providers.http import Endpoint, HttpTransport, Transport
from convergence_cluster.providers.jobs import JobFormat, JobProvider
from convergence_cluster.providers.proxies import proxy_of
from convergence_cluster.providers.request_rule import RequestRule
from convergence_cluster.providers.response_rule import ResponseRule
from convergence_cluster.providers.routing import RoutedProvider
from convergence_cluster.providers.tls import tls_context
from convergence_cluster.providers.websockets import Websockets
from convergence_cluster.spec.environment import resolve_endpoint
from convergence_cluster.spec.evaluator_file import EvaluatorSource
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.schema_api import ApiSection
from convergence_cluster.spec.schema_auth import Tls
from convergence_cluster.trials.protocols import Provider

_JOB_TIMEOUT_S = 300.0
_BROWSERBASE_KEY = "X-BB-API-Key"
_BROWSERBASE_PATH = "/v1/sessions"
_SESSIONS = "/sessions"


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """One URL of an API, and what every adapter for it needs."""

    api: ApiSection
    url: str
    transport: Transport
    environ: Mapping[str, str]
    clock: Clock
    max_usd: float | None = None
    """The most that one call may cost, for vendors that keep to a cap of ours."""
    proxy_url: str | None = None
    tls: ssl.SSLContext | None = None
    streams: bool = False
    """Whether the time of the first token is measured, so that answers are asked for in pieces."""

    @property
    def job_timeout_s(self) -> float:
        """Longest time for a job."""
        return _JOB_TIMEOUT_S if self.api.polling is None else self.api.polling.timeout_seconds

    def endpoint(
        self, url: str, *, key_header: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Endpoint:
        """Return where requests go; `key_header` carries an API key unless the study names another."""
        return Endpoint(
            url=url,
            method=self.api.request.method,
            headers=headers or {},
            timeout_s=self.api.request.timeout_seconds,
            auth=_auth(self.api, key_header, self.environ),
        )


def default_fields(study: LoadedStudy) -> Mapping[str, Json]:
    """Return the parameters that a provider requires and that are sent for a study without them."""
    api = study.spec.api
    wire = chat_format(provider_kind(api, api.endpoint or ""), api.endpoint or "")
    return {} if wire is None else wire.defaults


def build_provider(
    study: LoadedStudy,
    *,
    environ: Mapping[str, str],
    clock: Clock,
    heed: Callable[[Allowance], None] = lambda _: None,
) -> Provider:
    """Return the provider of a study; for `api.models`, one that routes by the parameter `model`.

    `heed` hears what the provider's rate headers still allow, where it is little.

    Raises:
        SpecError: a template or path of the study is not valid, or the endpoint names a variable that is not set.
    """
    api = study.spec.api
    if study.target is not None:
        return _function(study, study.target, clock)
    urls = [api.endpoint] if api.endpoint else [model.endpoint for model in (api.models or {}).values()]
    proxy_url = proxy_of(resolve_endpoint(urls[0], environ), environ)
    tls = _tls(study, environ)
    http = HttpTransport(clock=clock, environ=environ, tls=tls, proxy_url=proxy_url)
    transport = Headroom(http, clock=clock, heed=heed)

    def build(endpoint: str) -> Provider:
        return build_site(
            Site(
                api=api,
                url=resolve_endpoint(endpoint, environ),
                transport=transport,
                environ=environ,
                clock=clock,
                max_usd=study.spec.budget.usd_per_call,
                proxy_url=proxy_url,
                tls=tls,
                streams=measures_first_token(study),
            )
        )

    if api.models is None:
        assert api.endpoint is not None
        return build(api.endpoint)
    by_model = {name: build(model.endpoint) for name, model in api.models.items()}
    return RoutedProvider(by_model, default=build(api.endpoint) if api.endpoint else None, close=transport.close)


def _function(study: LoadedStudy, target: EvaluatorSource, clock: Clock) -> Provider:
    """Return the provider that calls a function of the study's own, refusing what only an API over HTTP can do."""
    api = study.spec.api
    if api.polling is not None or api.cleanup is not None:
        raise SpecError(f"api.{'polling' if api.polling else 'cleanup'}: a function answers at once")
    if measures_first_token(study):
        raise SpecError("evaluation.metrics.ttft_ms: only chats come as streams; a function answers at once")
    return FunctionProvider(
        load_function(target.path, target.function, "api.function"),
        where=f"{target.path.name}:{target.function}",
        clock=clock,
        response=response_rule(api.response),
        timeout_s=api.request.timeout_seconds,
    )


def measures_first_token(study: LoadedStudy) -> bool:
    """Say whether a study's answers have to come as streams."""
    return any(metric.name == "ttft_ms" and metric.function == "measured" for metric in study.metrics)


def build_endpoint(
    api: ApiSection, url: str, *, transport: Transport, environ: Mapping[str, str], clock: Clock
) -> Provider:
    """Return the adapter for one URL, as `build_site`."""
    return build_site(Site(api=api, url=url, transport=transport, environ=environ, clock=clock))


def build_site(site: Site) -> Provider:
    """Return the adapter for one URL.

    Raises:
        SpecError: a template or path of the study is not valid.
    """
    api, kind = site.api, provider_kind(site.api, site.url)
    wire = chat_format(kind, site.url)
    if wire is not None:
        return _chat(site, wire, kind)
    if site.streams:
        raise SpecError(f"evaluation.metrics.ttft_ms: only chats come as streams; {kind} answers at once")
    if kind == "apify":
        timeout_s = api.request.timeout_seconds
        known = apify(site.url, timeout_s=timeout_s, job_timeout_s=site.job_timeout_s, max_usd=site.max_usd)
        return _preset(site, known)
    if kind == "firecrawl":
        return _preset(site, firecrawl(site.url, job_timeout_s=site.job_timeout_s))
    if kind == "browserbase":
        return _browserbase(site)
    return _any_http(site)


def _chat(site: Site, wire: ChatFormat, kind: str) -> Provider:
    api = site.api
    if api.polling is not None or api.cleanup is not None:
        key = "polling" if api.polling else "cleanup"
        raise SpecError(f"api.{key}: is for APIs that take longer than a request; {kind} answers at once")
    url = completed_url(site.url, wire.path)
    endpoint = site.endpoint(url, key_header=wire.key_header, headers=dict(api.request.headers))
    body = api.request.body if isinstance(api.request.body, Mapping) else {}
    rule = ChatRule(body=body, result=api.response.result_field, streams=site.streams)
    return ChatProvider(transport=site.transport, endpoint=endpoint, clock=site.clock, wire=wire, rule=rule)


def _preset(site: Site, known: JobFormat) -> Provider:
    own = request_rule(site.api.request)
    return _http(
        site,
        endpoint=site.endpoint(known.url),
        request=replace(known.request, body=own.body, query=own.query, headers=own.headers),
        response=with_own_response(known.response, site.api.response),
        known=known,
    )


def _any_http(site: Site) -> Provider:
    request, response = request_rule(site.api.request), response_rule(site.api.response)
    return _http(site, endpoint=site.endpoint(site.url), request=request, response=response, known=None)


def _http(
    site: Site, *, endpoint: Endpoint, request: RequestRule, response: ResponseRule, known: JobFormat | None
) -> Provider:
    resolve = resolve_in(site.environ)
    polling = polling_rule(site.api.polling, resolve, default=None if known is None else known.polling)
    if polling is None and site.api.cleanup is None:
        return GenericProvider(
            transport=site.transport, endpoint=endpoint, clock=site.clock, request=request, response=response
        )
    return JobProvider(
        transport=site.transport,
        endpoint=endpoint,
        clock=site.clock,
        request=request,
        response=response,
        polling=polling,
        cleanup=step(site.api.cleanup, "cleanup", "DELETE", resolve),
    )


def _browserbase(site: Site) -> Provider:
    endpoint = site.endpoint(completed_url(site.url, _BROWSERBASE_PATH), key_header=_BROWSERBASE_KEY)
    request = request_rule(site.api.request)
    if not endpoint.url.rstrip("/").endswith(_SESSIONS):  # /fetch and /search
        response = response_rule(site.api.response)
        return _http(site, endpoint=endpoint, request=request, response=response, known=None)
    return BrowserbaseProvider(
        transport=site.transport,
        connect=Websockets(endpoint.auth, environ=site.environ, tls=site.tls, proxy_url=site.proxy_url).connect,
        endpoint=endpoint,
        clock=site.clock,
        request=request,
        response=with_own_response(ResponseRule(result="result", model=None), site.api.response),
        timeout_s=site.job_timeout_s,
    )


def _tls(study: LoadedStudy, environ: Mapping[str, str]) -> ssl.SSLContext | None:
    """Return what connections are made with, None for the usual; files are beside the study."""
    section = study.spec.api.tls

    def value(name: str) -> str | None:
        path, variable = getattr(section, name), getattr(section, f"{name}_env")
        return str(study.directory / path) if path is not None else environ.get(variable) if variable else None

    if section == Tls():
        return None
    password = environ.get(section.key_password_env) if section.key_password_env else None
    certificate, key, authority = value("certificate"), value("key"), value("authority")
    return tls_context(certificate=certificate, key=key, key_password=password, authority=authority)


def _auth(api: ApiSection, key_header: str | None, environ: Mapping[str, str]) -> Auth:
    auth = api.auth
    if auth.type == "oauth" and auth.token_env is None:
        return Auth(
            kind=AuthKind.OAUTH,
            token_url=resolve_endpoint(auth.token_url or "", environ),
            client_id_env=auth.client_id_env,
            client_secret_env=auth.client_secret_env,
            scope=auth.scope,
        )
    is_named = key_header is None or "header_name" in auth.model_fields_set
    return Auth(
        kind=AuthKind.BEARER if auth.type == "oauth" else AuthKind(auth.type),
        token_env=auth.token_env,
        header_name=auth.header_name if is_named or key_header is None else key_header,
        username=auth.username or "",
        username_env=auth.username_env,
        password_env=auth.password_env,
    )
