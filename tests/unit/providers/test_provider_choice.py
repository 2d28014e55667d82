"""Which adapter a study gets, and where its requests go."""

import asyncio
import contextlib
from typing import Any

import pytest

from convergence_cluster.bootstrap.dialects import chat_format, completed_url, provider_kind
from convergence_cluster.bootstrap.providers import build_endpoint
from convergence_cluster.bootstrap.runner import build_plan
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.providers.openai_chat import AZURE, AZURE_CLASSIC, OPENAI, OPENAI_COMPATIBLE
from convergence_cluster.providers.openai_responses import AZURE_RESPONSES
from convergence_cluster.spec.loading import loads
from convergence_cluster.spec.schema_api import ApiSection
from tests.unit.metering.virtual_time import FixedClock
from tests.unit.providers.fakes import MemoryTransport, request


def kind_of(url: str, **api: Any) -> str:
    return provider_kind(ApiSection.model_validate({"name": "x", "endpoint": url, **api}), url)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://api.openai.com/v1/chat/completions", "openai"),
        ("https://api.openai.com/v1/responses", "openai-responses"),
        ("https://name.openai.azure.com/openai/v1", "azure"),
        ("https://name.cognitiveservices.azure.com/openai/v1", "azure"),
        ("https://api.anthropic.com/v1/messages", "anthropic"),
        ("https://generativelanguage.googleapis.com/v1beta", "gemini"),
        ("https://api.groq.com/openai/v1/chat/completions", "groq"),
        ("https://api.together.xyz/v1/chat/completions", "together"),
        ("https://api.mistral.ai/v1/chat/completions", "mistral"),
        ("https://openrouter.ai/api/v1/chat/completions", "openrouter"),
        ("https://api.browserbase.com/v1/sessions", "browserbase"),
        ("https://api.apify.com/v2/acts/apify~web-scraper/runs", "apify"),
        ("https://api.firecrawl.dev/v2/scrape", "firecrawl"),
        ("http://localhost:8000/v1/chat/completions", "openai"),
        ("https://api.example.com/v1/messages", "http"),
        ("https://api.openai.com.example.com/v1", "http"),
        ("https://notapi.anthropic.com/v1/messages", "http"),
    ],
)
def test_a_provider_is_recognised_by_its_host(url: str, kind: str) -> None:
    assert kind_of(url) == kind
    assert kind_of(url, provider="http") == "http"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h", "https://h/v1/messages"),
        ("https://h/", "https://h/v1/messages"),
        ("https://h/v1", "https://h/v1/messages"),
        ("https://h/v1/?a=1", "https://h/v1/messages?a=1"),
        ("https://h/v1/messages", "https://h/v1/messages"),
        ("https://h/v1/messages/", "https://h/v1/messages/"),
        ("https://h/gateway/v1", "https://h/gateway/v1"),
        ("https://h/v", "https://h/v"),
    ],
)
def test_a_url_that_stops_short_is_completed(url: str, expected: str) -> None:
    assert completed_url(url, "/v1/messages") == expected


@pytest.mark.parametrize(
    ("own", "path", "expected"),
    [
        ("/v1", "/v1beta/models/{model}:generateContent", "/v1/models/{model}:generateContent"),
        ("/v1alpha/", "/v1beta/models/{model}:generateContent", "/v1alpha/models/{model}:generateContent"),
        ("", "/v1beta/models/{model}:generateContent", "/v1beta/models/{model}:generateContent"),
        ("/openai/v1", "/openai/v1/chat/completions", "/openai/v1/chat/completions"),
        ("/v1", "/openai/v1/chat/completions", "/v1"),
    ],
)
def test_the_version_in_a_url_is_the_one_that_is_asked(own: str, path: str, expected: str) -> None:
    assert completed_url(f"https://h{own}", path) == f"https://h{expected}"


def test_a_format_minds_host_path_and_query() -> None:
    assert chat_format("openai", "https://api.openai.com/v1/chat/completions") is OPENAI
    assert chat_format("openai", "http://localhost/v1/chat/completions") is OPENAI_COMPATIBLE
    assert chat_format("azure", "https://n.openai.azure.com?api-version=2024-10-21") is AZURE_CLASSIC
    assert chat_format("azure", "https://n.openai.azure.com/openai/v1") is AZURE
    assert chat_format("azure", "https://n.openai.azure.com/openai/v1/responses") is AZURE_RESPONSES
    assert chat_format("http", "https://h") is None


STUDY = """
api: {name: x, provider: PROVIDER, endpoint: "https://api.example.com/v1/messages"}
search_space: {parameters: {model: [a, b]}}
evaluation:
  test_cases: [{input: {prompt: Why?}, expected: x}, {input: {prompt: How?}, expected: y}]
  metrics: {quality: {weight: 1.0, type: higher_is_better, function: contains}}
"""


def test_what_a_provider_requires_counts_in_the_bound_of_a_calls_price() -> None:
    assert build_plan(loads(STUDY.replace("PROVIDER", "anthropic"))).fixed == {"max_tokens": 4096}
    assert build_plan(loads(STUDY.replace("PROVIDER", "openai"))).fixed == {}


@pytest.mark.parametrize(
    ("provider", "given", "header"),
    [
        ("anthropic", {}, "x-api-key"),
        ("gemini", {}, "x-goog-api-key"),
        ("azure", {}, "api-key"),
        ("http", {}, "x-api-key"),
        ("openai", {}, "x-api-key"),
        ("openai-responses", {}, "x-api-key"),
        ("gemini", {"header_name": "X-Gateway-Key"}, "X-Gateway-Key"),
    ],
)
def test_a_key_goes_into_the_vendors_own_header(provider: str, given: dict[str, str], header: str) -> None:
    auth = {"type": "api_key", "token_env": "K", **given}
    api = ApiSection.model_validate({"name": "x", "endpoint": "https://h", "provider": provider, "auth": auth})

    provider_built = build_endpoint(
        api, "https://h", transport=(transport := MemoryTransport()), environ={}, clock=FixedClock()
    )
    with contextlib.suppress(ConvergenceError):
        asyncio.run(provider_built.send(request({"model": "m"}, {"prompt": "x"})))

    assert transport.endpoint is not None
    assert transport.endpoint.auth.header_name == header
