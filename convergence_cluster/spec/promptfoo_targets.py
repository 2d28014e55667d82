"""promptfoo's providers and prompts as an API and a search space."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from convergence_cluster.domain.identity import Json
from convergence_cluster.spec.assertions import FILE
from convergence_cluster.spec.promptfoo_remarks import Place, Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Vendor:
    """Where a vendor is."""

    provider: str
    endpoint: str
    key: str
    auth: str = "bearer"


VENDORS: Final[Mapping[str, Vendor]] = {
    "openai": Vendor(provider="openai", endpoint="https://api.openai.com/v1/chat/completions", key="OPENAI_API_KEY"),
    "openai:responses": Vendor(
        provider="openai-responses", endpoint="https://api.openai.com/v1/responses", key="OPENAI_API_KEY"
    ),
    "anthropic": Vendor(
        provider="anthropic", endpoint="https://api.anthropic.com/v1/messages", key="ANTHROPIC_API_KEY", auth="api_key"
    ),
    "google": Vendor(
        provider="gemini",
        endpoint="https://generativelanguage.googleapis.com/v1beta/models/{{ params.model }}:generateContent",
        key="GOOGLE_API_KEY",
        auth="api_key",
    ),
    "groq": Vendor(provider="groq", endpoint="https://api.groq.com/openai/v1/chat/completions", key="GROQ_API_KEY"),
    "mistral": Vendor(provider="mistral", endpoint="https://api.mistral.ai/v1/chat/completions", key="MISTRAL_API_KEY"),
    "openrouter": Vendor(
        provider="openrouter", endpoint="https://openrouter.ai/api/v1/chat/completions", key="OPENROUTER_API_KEY"
    ),
    "togetherai": Vendor(
        provider="together", endpoint="https://api.together.xyz/v1/chat/completions", key="TOGETHER_API_KEY"
    ),
    "ollama": Vendor(provider="ollama", endpoint="http://localhost:11434/v1/chat/completions", key="", auth="none"),
}
"""By the first part of a provider's id."""

_MODES: Final = ("chat", "completion", "messages", "responses", "embedding", "embeddings")
_NOT_PARAMETERS: Final = ("apiKey", "apiKeyEnvar", "apiBaseUrl", "apiHost", "organization", "headers", "cost", "id")
_NAMES: Final = {"maxOutputTokens": "max_tokens", "topP": "top_p", "topK": "top_k", "stopSequences": "stop"}
_TAG: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_SEPARATOR: Final = re.compile(r"^---\s*$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One provider of a promptfoo file."""

    kind: str
    """A key of `VENDORS`."""
    model: str
    config: Mapping[str, Json]

    def endpoint(self) -> str:
        """Return the URL that it is called at."""
        vendor = VENDORS[self.kind]
        base = self.config.get("apiBaseUrl")
        if not isinstance(base, str) and isinstance(self.config.get("apiHost"), str):
            base = f"https://{self.config['apiHost']}/v1"
        path = "/responses" if self.kind == "openai:responses" else "/chat/completions"
        return f"{base.rstrip('/')}{path}" if isinstance(base, str) else vendor.endpoint

    def auth(self) -> dict[str, Json]:
        """Return how it is authorized."""
        vendor = VENDORS[self.kind]
        name = self.config.get("apiKeyEnvar") or vendor.key
        return {"type": "none"} if vendor.auth == "none" else {"type": vendor.auth, "token_env": name}

    def parameters(self) -> dict[str, Json]:
        """Return what its requests set besides the model."""
        given = {key: value for key, value in self.config.items() if key not in _NOT_PARAMETERS}
        inner = given.pop("generationConfig", None)
        given |= inner if isinstance(inner, Mapping) else {}
        return {_NAMES.get(key, key): value for key, value in given.items()}


def target_of(source: Source, given: Json, place: Place) -> Target | None:
    """Return the vendor, model and settings of a provider, or None with a remark."""
    config: Mapping[str, Json] = {}
    if isinstance(given, Mapping) and "id" not in given and len(given) == 1:
        ((name, inner),) = given.items()
        given = {"id": name, **(inner if isinstance(inner, Mapping) else {})}
    if isinstance(given, Mapping):
        source.remarks.unknown(given, ("id", "config", "label"), place)
        config = given["config"] if isinstance(given.get("config"), Mapping) else {}
        given = given.get("id")
    if not isinstance(given, str):
        source.remarks.add(place, "no provider with an id; not carried over")
        return None
    first, *rest = given.split(":")
    kind = "openai:responses" if first == "openai" and rest[:1] == ["responses"] else first
    model = ":".join(rest[1:] if rest and rest[0] in _MODES else rest) or str(config.get("model", ""))
    if kind not in VENDORS or not model or rest[:1] == ["completion"]:
        source.remarks.add(place, f"{given}: describe it as `api` (provider: http, or function); not carried over")
        return None
    if isinstance(config.get("apiKey"), str) and "{{" not in config["apiKey"]:
        source.remarks.add((*place, "config", "apiKey"), "a key is named by its environment variable, not written down")
    return Target(kind=kind, model=model, config=config)


def texts_of(source: Source, variables: Iterable[str]) -> list[Json]:
    """Return every prompt: a template over `case` as a study writes it, or a list of messages."""
    found: list[Json] = []
    given = source.root.get("prompts", ["{{prompt}}"])
    for index, entry in enumerate(given if isinstance(given, list) else [given]):
        place: Place = ("prompts", index) if isinstance(given, list) else ("prompts",)
        found += [_renamed(text, frozenset(variables)) for text in _raw_texts(source, source.resolved(entry), place)]
    return found


def _raw_texts(source: Source, entry: Json, place: Place) -> list[Json]:
    if isinstance(entry, Mapping):
        source.remarks.unknown(entry, ("id", "raw", "label", "file", "path"), place)
        entry = next((entry[key] for key in ("raw", "file", "path", "id") if key in entry), None)
    if isinstance(entry, list):
        return [entry]
    if not isinstance(entry, str):
        source.remarks.add(place, "no text of a prompt; not carried over")
        return []
    is_file = entry.startswith(FILE) or (re.fullmatch(r"[\w./*-]+\.\w{2,5}", entry) is not None)
    if not is_file:
        return [_messages(entry) or entry]
    if re.search(r"\.(?:js|mjs|cjs|ts|py)(?::\w+)?\Z", entry):
        source.remarks.add(place, f"{entry}: a prompt made by a program; not carried over")
        return []
    texts: list[Json] = []
    for path in source.paths(entry, place):
        if path.suffix.lower() in {".yaml", ".yml"}:
            texts.append(list(source.rows(path, place)))
        elif (text := source.text(path, place)) is not None:
            whole = _messages(text)
            if whole is None and path.suffix.lower() == ".json":
                source.remarks.add(place, f"{path.name}: messages that a template makes; not carried over")
                continue
            texts += [whole] if whole else [part.strip() for part in _SEPARATOR.split(text) if part.strip()]
    return texts


def _messages(text: str) -> Json:
    """Return the messages that a text in JSON is, or None."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value) else None


def _renamed(value: Json, variables: frozenset[str]) -> Json:
    """Return a prompt whose templates name variables as a study does: `{{ case.name }}`."""
    if isinstance(value, list):
        return [_renamed(item, variables) for item in value]
    if isinstance(value, Mapping):
        return {key: _renamed(item, variables) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    known = "|".join(sorted(map(re.escape, variables), key=len, reverse=True)) or "(?!)"
    name = re.compile(rf"(?<![\w.'\"])(?:{known})(?![\w'\"])")
    return _TAG.sub(lambda tag: name.sub(lambda found: f"case.{found[0]}", tag[0]), value)
