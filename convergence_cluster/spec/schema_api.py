"""The `api` section: what is called, how, what its answers mean, and what it costs."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, model_validator

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.schema_auth import Auth, Tls
from convergence_cluster.spec.schema_job import FunctionSection, PollingSection, StepSection
from convergence_cluster.spec.schema_response import ResponseSection
from convergence_cluster.spec.section import (
    IGNORED,
    Count,
    Headers,
    Money,
    Positive,
    Section,
    Text,
    at,
)

Provider = Literal[
    "openai",
    "openai-responses",
    "azure",
    "anthropic",
    "gemini",
    "groq",
    "together",
    "mistral",
    "openrouter",
    "ollama",
    "vllm",
    "browserbase",
    "apify",
    "firecrawl",
    "http",
    "python",
]

REFERENCE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
"""An environment variable in an endpoint: `${NAME}` or `${NAME:-default}`."""

_TEMPLATE: Final = re.compile(r"\{\{.*?\}\}")

ANY_MODEL: Final = "*"
"""The key of a price that holds for every model."""

SANDBOXES: Final = ("llm", "compress")
"""Local APIs that an endpoint may name."""

_SECRET_QUERIES = {"key", "api_key", "apikey", "api-key", "token", "access_token"}
_SECRET_HEADERS = {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "x-bb-api-key"}


class RequestSection(Section):
    """What is sent."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    """HTTP method. Without `body` and `query`, the case's input and then the parameters are sent: as query for GET and
    DELETE, else as JSON."""
    headers: Headers = Field(default_factory=dict)
    """Headers by name; values are templates as in `body`. A key belongs in `api.auth`."""
    query: Mapping[str, Json] = Field(default_factory=dict)
    """Query parameters; texts in it are templates as in `body`."""
    body: Json = None
    """JSON body; texts in it are Jinja templates over `params` (the configuration) and `case` (`case.id`, `case.input`,
    `case.metadata`, and the input's own keys). A text that is one single expression keeps the type of its value. What
    some calls lack, as a parameter with a condition, is left out of them by `{{ params.x | default(omit) }}`."""
    timeout_seconds: Annotated[Positive, Field(le=3600)] = 30
    """Longest time for one attempt, in seconds."""

    @model_validator(mode="before")
    @classmethod
    def _upper_method(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("method"), str):
            return {**value, "method": value["method"].upper()}
        return value

    @model_validator(mode="after")
    def _has_no_key(self) -> "RequestSection":
        for name, value in self.headers.items():
            if name.lower() in _SECRET_HEADERS and value.strip():
                raise at(
                    "headers", f"{name} carries a key; put it in an environment variable and name that in api.auth"
                )
        return self


class Rate(Section):
    """How fast calls may go, shared by every worker. Absent: as fast as the provider's own headers allow."""

    rpm: Positive | None = None
    """Requests a minute."""
    tpm: Positive | None = None
    """Tokens a minute, input and output together."""
    concurrency: Count | None = None
    """Calls on the wire at once, over all workers."""


class Price(Section):
    """What a model costs."""

    input_per_million_usd: Money | None = None
    """USD for a million input tokens."""
    output_per_million_usd: Money | None = None
    """USD for a million output tokens."""
    cached_per_million_usd: Money | None = None
    """USD for a million input tokens read from a cache. Default: as other input."""
    cache_write_per_million_usd: Money | None = None
    """USD for a million input tokens written to a cache. Default: as other input."""
    per_call_usd: Money | None = None
    """USD for each call, added to the tokens."""

    @model_validator(mode="after")
    def _is_complete(self) -> "Price":
        if (self.input_per_million_usd is None) != (self.output_per_million_usd is None):
            raise at("input_per_million_usd", "input and output prices are given together")
        if self.input_per_million_usd is None and self.per_call_usd is None:
            raise at("per_call_usd", "expected per_call_usd, or input_per_million_usd and output_per_million_usd")
        return self


class ApiModel(Section):
    """Where one model of an API with an endpoint for each model is."""

    endpoint: Text
    """URL of this model."""
    description: str | None = None
    """For readers."""


class ApiSection(Section):
    """The API to optimize."""

    name: Text
    """What you call it. Studies with the same name learn from each other."""
    description: str | None = None
    """For readers."""
    provider: Provider | None = None
    """The wire format. Default: recognised by the endpoint's host, else `http`."""
    endpoint: Text | None = None
    """URL that calls go to. May contain `${NAME}` or `${NAME:-default}` for environment variables, and templates.
    `sandbox://llm/v1/chat/completions` starts a local API for the time of the study; its query holds the options that
    `convergence sandbox llm --help` lists."""
    function: FunctionSection | None = None
    """A Python function that is called instead of a URL."""
    models: Annotated[Mapping[str, ApiModel], Field(min_length=1)] | None = None
    """URL for each value of the parameter `model`, where they differ. Required without `endpoint`."""
    auth: Auth = Field(default_factory=Auth)
    """How calls are authorized."""
    tls: Tls = Field(default_factory=Tls)
    """Certificates of encrypted connections, where the usual ones do not do."""
    request: RequestSection = Field(default_factory=RequestSection)
    """What is sent."""
    response: ResponseSection = Field(default_factory=ResponseSection)
    """What an answer means."""
    polling: PollingSection | None = None
    """For an API that takes longer than a request: how to learn that a job is done."""
    cleanup: StepSection | None = None
    """A request that is sent after every call that was accepted, whether it succeeded, failed or was stopped; it may
    name `submitted.id`."""
    rate: Rate = Field(default_factory=Rate)
    """How fast calls may go."""
    cache: bool = True
    """Whether an answer that was paid for once serves later studies too; `false` for an API whose answers change."""
    prices: Mapping[str, Price] = Field(default_factory=dict)
    """Prices by model, before every other source; `*` holds for every model. A single price may stand here directly."""
    adapter_enabled: bool | None = Field(default=None, json_schema_extra=IGNORED)
    """`provider` decides."""
    mock_mode: bool | None = Field(default=None, json_schema_extra=IGNORED)
    """`convergence sandbox` starts a local API to try things on."""

    @model_validator(mode="before")
    @classmethod
    def _one_price(cls, value: Any) -> Any:
        prices = value.get("prices") if isinstance(value, dict) else None
        if isinstance(prices, dict) and prices and set(prices) <= set(Price.model_fields):
            return {**value, "prices": {ANY_MODEL: prices}}
        return value

    @model_validator(mode="after")
    def _is_reachable(self) -> "ApiSection":
        if self.function is not None and (self.endpoint is not None or self.models is not None):
            raise at("function", "is called instead of a URL; leave out endpoint and models")
        if (self.provider == "python") != (self.function is not None) and self.provider is not None:
            raise at("function", "goes with provider python: `function: my_module:call`")
        if self.endpoint is None and self.models is None and self.function is None:
            raise at(
                "endpoint",
                "required: the URL that calls go to (or api.models, a URL for each; or api.function)",
            )
        endpoints = {} if self.endpoint is None else {"endpoint": self.endpoint}
        for key, endpoint in endpoints.items() | {("models", m.endpoint) for m in (self.models or {}).values()}:
            problem = endpoint_problem(endpoint)
            if problem is not None:
                raise at(key, problem)
        return self


def endpoint_problem(endpoint: str) -> str | None:
    """Return what is wrong with an endpoint, or None. References to environment variables may stand for any part."""
    text = _TEMPLATE.sub("x", REFERENCE.sub(lambda match: match.group(2) or "x", endpoint))
    if REFERENCE.match(endpoint) and not text.startswith(("http://", "https://")):
        text = f"https://{text}"
    if any(character.isspace() or not character.isprintable() for character in text):
        return "expected a URL without blanks"
    try:
        parts = urlsplit(text)
        has_host, _ = bool(parts.hostname), parts.port
    except ValueError:
        return "expected a URL such as https://api.example.com/v1/chat"
    if parts.scheme == "sandbox" and parts.hostname in SANDBOXES:
        return None
    if parts.scheme not in {"http", "https"} or not has_host:
        value = "" if "@" in endpoint or "?" in endpoint else f"{endpoint!r}: "
        return f"{value}expected a URL such as https://api.example.com/v1/chat"
    return _secret_problem(endpoint)


def _secret_problem(endpoint: str) -> str | None:
    bare = urlsplit(REFERENCE.sub("", endpoint))
    if "@" in bare.netloc:
        return "the URL carries a password; use api.auth with type basic"
    if any(name.lower() in _SECRET_QUERIES for name, _ in parse_qsl(bare.query)):
        return "the URL carries a key; put it in an environment variable and write ${NAME}"
    return None
