"""Names the adapter for every `api.provider`, and fills it with what the study says."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from convergence_cluster.bootstrap.generic import polling_rule, request_rule, response_rule, step
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import Json
from convergence_cluster.providers import openai_chat
from convergence_cluster.providers.anthropic import ANTHROPIC
from convergence_cluster.providers.chat import ChatFormat, ChatProvider, ChatRule
from convergence_cluster.providers.credentials import Auth, AuthKind
from convergence_cluster.providers.gemini import GEMINI
from convergence_cluster.providers.generic import GenericProvider
from convergence_cluster.providers.http import Endpoint, HttpTransport, Transport
from convergence_cluster.providers.jobs import JobProvider
from convergence_cluster.providers.openai_responses import AZURE_RESPONSES, OPENAI_RESPONSES
from convergence_cluster.providers.proxies import proxy_of
from convergence_cluster.providers.routing import RoutedProvider
from convergence_cluster.spec.environment import resolve_endpoint, resolve_references
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.schema_api import ApiSection
from convergence_cluster.trials.protocols import Provider

_FORMATS: Mapping[str, ChatFormat] = MappingProxyType(
    {
        "openai": openai_chat.OPENAI_COMPATIBLE,
        "azure": openai_chat.AZURE,
        "openai-responses": OPENAI_RESPONSES,
        "anthropic": ANTHROPIC,
        "gemini": GEMINI,
        "groq": openai_chat.GROQ,
        "together": openai_chat.TOGETHER,
        "mistral": openai_chat.MISTRAL,
        "openrouter": openai_chat.OPENROUTER,
        "ollama": openai_chat.OLLAMA,
        "vllm": openai_chat.VLLM,
    }
)
_OPENAI_HOST = "api.openai.com"
_HOSTS = (
    (re.compile(r"api\.openai\.com"), "openai"),
    (re.compile(r".+\.(?:openai|cognitiveservices|services\.ai)\.azure\.com"), "azure"),
    (re.compile(r"api\.anthropic\.com"), "anthropic"),
    (re.compile(r"generativelanguage\.googleapis\.com"), "gemini"),
    (re.compile(r"api\.groq\.com"), "groq"),
    (re.compile(r"api\.together\.(?:ai|xyz)"), "together"),
    (re.compile(r"api\.mistral\.ai"), "mistral"),
    (re.compile(r"(?:api\.)?openrouter\.ai"), "openrouter"),
)
_VERSION = re.compile(r"\A/v[0-9]\w*")
_CHAT_PATH = "/chat/completions"
_RESPONSES_PATH = "/responses"
_NOT_YET = "is not built in yet; describe it with provider: http (request.body, response.result_field, ...)"


def provider_kind(api: ApiSection, url: str) -> str:
    """Return which wire format an endpoint speaks: what the study says, else by host or path, else `http`."""
    if api.provider is not None:
        return api.provider
    parts = urlsplit(url)
    by_host = next((kind for host, kind in _HOSTS if host.fullmatch(parts.hostname or "")), None)
    if by_host == "openai" and parts.path.endswith(_RESPONSES_PATH):
        return "openai-responses"
    return by_host or ("openai" if parts.path.endswith(_CHAT_PATH) else "http")


def chat_format(kind: str, url: str) -> ChatFormat | None:
    """Return how a kind of provider writes at this URL, or None where it does not chat."""
    parts = urlsplit(url)
    if kind == "openai" and parts.hostname == _OPENAI_HOST:
        return openai_chat.OPENAI
    if kind == "azure" and parts.path.endswith(_RESPONSES_PATH):
        return AZURE_RESPONSES
    if kind == "azure" and any(name == "api-version" for name, _ in parse_qsl(parts.query)):
        return openai_chat.AZURE_CLASSIC
    return _FORMATS.get(kind)


def completed_url(url: str, path: str) -> str:
    """Return the URL with the format's path where its own stops short of it: `https://host` or `https://host/v1`.

    A version in the URL goes before the format's: `/v1` and `/v1beta` are both Gemini's.
    """
    parts = urlsplit(url)
    own = parts.path.rstrip("/")
    if _VERSION.fullmatch(own):
        path = _VERSION.sub(own, path, count=1)
    is_short = own != path and path.startswith(f"{own}/")
    return urlunsplit(parts._replace(path=path)) if is_short else url


def default_fields(study: LoadedStudy) -> Mapping[str, Json]:
    """Return the parameters that a provider requires and that are sent for a study without them."""
    api = study.spec.api
    wire = chat_format(provider_kind(api, api.endpoint or ""), api.endpoint or "")
    return {} if wire is None else wire.defaults


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
        url = resolve_endpoint(endpoint, environ)
        return build_endpoint(api, url, transport=transport, environ=environ, clock=clock)

    if api.models is None:
        assert api.endpoint is not None
        return build(api.endpoint)
    by_model = {name: build(model.endpoint) for name, model in api.models.items()}
    return RoutedProvider(by_model, default=build(api.endpoint) if api.endpoint else None, close=transport.close)


def build_endpoint(
    api: ApiSection, url: str, *, transport: Transport, environ: Mapping[str, str], clock: Clock
) -> Provider:
    """Return the adapter for one URL.

    Raises:
        SpecError: the provider is not built in, or a template or path of the study is not valid.
    """
    kind = provider_kind(api, url)
    wire = chat_format(kind, url)
    if wire is None and kind != "http":
        raise SpecError(f"api.provider: {kind!r} {_NOT_YET}")
    endpoint = Endpoint(
        url=url if wire is None else completed_url(url, wire.path),
        method=api.request.method,
        headers={} if wire is None else dict(api.request.headers),
        timeout_s=api.request.timeout_seconds,
        auth=_auth(api, wire, environ),
    )
    if wire is not None:
        if api.polling is not None or api.cleanup is not None:
            raise SpecError(
                f"api.{'polling' if api.polling else 'cleanup'}: is for provider http; {kind} answers at once"
            )
        body = api.request.body if isinstance(api.request.body, Mapping) else {}
        rule = ChatRule(body=body, result=api.response.result_field)
        return ChatProvider(transport=transport, endpoint=endpoint, clock=clock, wire=wire, rule=rule)
    request, response = request_rule(api.request), response_rule(api.response)
    if api.polling is None and api.cleanup is None:
        return GenericProvider(transport=transport, endpoint=endpoint, clock=clock, request=request, response=response)

    def resolve(text: str, path: tuple[str, ...]) -> str:
        return resolve_references(text, environ, path)

    return JobProvider(
        transport=transport,
        endpoint=endpoint,
        clock=clock,
        request=request,
        response=response,
        polling=polling_rule(api.polling, resolve),
        cleanup=step(api.cleanup, "cleanup", "DELETE", resolve),
    )


def _auth(api: ApiSection, wire: ChatFormat | None, environ: Mapping[str, str]) -> Auth:
    auth = api.auth
    if auth.type == "oauth" and auth.token_env is None:
        return Auth(
            kind=AuthKind.OAUTH,
            token_url=resolve_endpoint(auth.token_url or "", environ),
            client_id_env=auth.client_id_env,
            client_secret_env=auth.client_secret_env,
            scope=auth.scope,
        )
    is_named = wire is None or "header_name" in auth.model_fields_set
    return Auth(
        kind=AuthKind.BEARER if auth.type == "oauth" else AuthKind(auth.type),
        token_env=auth.token_env,
        header_name=auth.header_name if is_named or wire is None else wire.key_header,
        username=auth.username or "",
        username_env=auth.username_env,
        password_env=auth.password_env,
    )
