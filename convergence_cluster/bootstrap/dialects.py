"""Which wire format an endpoint speaks, by what the study says, its host or its path."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from convergence_cluster.providers import openai_chat
from convergence_cluster.providers.anthropic import ANTHROPIC
from convergence_cluster.providers.chat import ChatFormat
from convergence_cluster.providers.gemini import GEMINI
from convergence_cluster.providers.openai_responses import AZURE_RESPONSES, OPENAI_RESPONSES
from convergence_cluster.spec.schema_api import ApiSection

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
    (re.compile(r"api\.browserbase\.com"), "browserbase"),
    (re.compile(r"api\.apify\.com"), "apify"),
    (re.compile(r"api\.firecrawl\.dev"), "firecrawl"),
)
REPORTS_COST = frozenset({"openrouter", "apify"})
"""Their answers say what a call cost, without the study saying where."""
_VERSION = re.compile(r"\A/v[0-9]\w*")
_CHAT_PATH = "/chat/completions"
_RESPONSES_PATH = "/responses"


def provider_kind(api: ApiSection, url: str) -> str:
    """Return which wire format an endpoint speaks: what the study says, else by host or path, else `http`."""
    if api.function is not None:
        return "python"
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
