"""Our adapters and the vendors' own clients ask a server the same question, and read the same from its answer."""

import asyncio
import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from convergence_cluster.bootstrap.providers import build_endpoint
from convergence_cluster.domain.calls import Answer, Request, TestCase
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.providers.http import HttpTransport
from convergence_cluster.providers.usage import read_finish
from convergence_cluster.spec.schema_api import ApiSection
from tests.llmock_server import Mock, llmock_server

KEY = "sk-some-key"
QUESTION = "Say hyacinth, and then say it once more."
SYSTEM = "Be brief."


@dataclass(frozen=True)
class Told:
    """What a client reads from an answer."""

    text: str
    finish: str
    input_tokens: int
    output_tokens: int


Ask = Callable[[str, str, int, bool], Told]
"""From the server's address, a model, a limit on tokens and whether to stream, to what the vendor's client reads."""


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with llmock_server() as running:
        yield running


_clients: list[Any] = []


def opened(client: Any) -> Any:
    """Return a vendor's client, which is closed when the test ends."""
    _clients.append(client)
    return client


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    yield
    while _clients:
        _clients.pop().close()


def by_openai_chat(url: str, model: str, limit: int, streams: bool) -> Told:  # noqa: FBT001 - one signature for all
    client = opened(importlib.import_module("openai").OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0))
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    options = {"model": model, "messages": messages, "max_completion_tokens": limit, "temperature": 0.5}
    if not streams:
        got = client.chat.completions.create(**options)
        choice = got.choices[0]
        return Told(choice.message.content, choice.finish_reason, got.usage.prompt_tokens, got.usage.completion_tokens)
    text, finish, usage = "", "", None
    for chunk in client.chat.completions.create(**options, stream=True, stream_options={"include_usage": True}):
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            finish = choice.finish_reason or finish
    assert usage is not None
    return Told(text, finish, usage.prompt_tokens, usage.completion_tokens)


def by_openai_responses(url: str, model: str, limit: int, streams: bool) -> Told:  # noqa: FBT001
    client = opened(importlib.import_module("openai").OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0))
    message = {"role": "user", "content": QUESTION}
    options = {"model": model, "input": [message], "instructions": SYSTEM, "max_output_tokens": limit}
    if streams:
        events = list(client.responses.create(**options, temperature=0.5, stream=True))
        got = events[-1].response
    else:
        got = client.responses.create(**options, temperature=0.5)
    finish = "stop" if got.status == "completed" else got.incomplete_details.reason
    return Told(got.output_text, finish, got.usage.input_tokens, got.usage.output_tokens)


def by_anthropic(url: str, model: str, limit: int, streams: bool) -> Told:  # noqa: FBT001
    anthropic = importlib.import_module("anthropic")
    client = opened(anthropic.Anthropic(base_url=f"{url}/anthropic", api_key=KEY, max_retries=0))
    message = {"role": "user", "content": QUESTION}
    options = {"model": model, "max_tokens": limit, "system": SYSTEM, "messages": [message]}
    if streams:
        with client.messages.stream(**options) as stream:
            got = stream.get_final_message()
    else:
        got = client.messages.create(**options)
    text = "".join(block.text for block in got.content if block.type == "text")
    return Told(text, got.stop_reason, got.usage.input_tokens, got.usage.output_tokens)


def by_google(url: str, model: str, limit: int, streams: bool) -> Told:  # noqa: FBT001
    genai = importlib.import_module("google.genai")
    options = genai.types.HttpOptions(base_url=f"{url}/gemini", api_version="v1beta")
    client = opened(genai.Client(api_key=KEY, http_options=options, vertexai=False))
    config = genai.types.GenerateContentConfig(system_instruction=SYSTEM, max_output_tokens=limit, temperature=0.5)
    models = client.models
    asked = {"model": model, "contents": QUESTION, "config": config}
    parts = list(models.generate_content_stream(**asked)) if streams else [models.generate_content(**asked)]
    text = "".join(part.text or "" for part in parts)
    usage = parts[-1].usage_metadata
    return Told(
        text, parts[-1].candidates[0].finish_reason.value, usage.prompt_token_count, usage.candidates_token_count
    )


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A dialect, and the client that its vendor ships."""

    provider: str
    path: str
    model: str
    ask: Ask
    package: str
    auth: str = "bearer"


PAIRS = (
    Pair(provider="openai", path="/v1/chat/completions", model="gpt-4.1-mini", ask=by_openai_chat, package="openai"),
    Pair(
        provider="openai-responses",
        path="/v1/responses",
        model="gpt-4.1-mini",
        ask=by_openai_responses,
        package="openai",
    ),
    Pair(
        provider="anthropic",
        path="/anthropic/v1/messages",
        model="claude-haiku-4-5",
        ask=by_anthropic,
        package="anthropic",
        auth="api_key",
    ),
    Pair(
        provider="gemini",
        path="/gemini/v1beta/models/{model}:generateContent",
        model="gemini-2.5-flash",
        ask=by_google,
        package="google.genai",
        auth="api_key",
    ),
)


def by_us(mock: Mock, pair: Pair, limit: int, *, streams: bool) -> Answer:
    async def act() -> Answer:
        url = mock.url + pair.path
        auth = {"type": pair.auth, "token_env": "THE_KEY"}
        document = {"name": "x", "provider": pair.provider, "endpoint": url, "auth": auth}
        api = ApiSection.model_validate(document)
        clock, environ = SystemClock(), {"THE_KEY": KEY}
        transport = HttpTransport(clock=clock, environ=environ)
        provider = build_endpoint(api, url, transport=transport, environ=environ, clock=clock)
        configuration = {"model": pair.model, "max_tokens": limit, "temperature": 0.5, "system_prompt": SYSTEM}
        if streams:
            configuration["stream"] = True
        case = TestCase(id=CaseId("one"), input={"question": QUESTION})
        try:
            return await provider.send(Request(configuration=configuration, case=case, idempotency_key="s:0:0:0"))
        finally:
            await provider.close()

    return asyncio.run(act())


def is_installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("streams", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("limit", [256, 2], ids=["room", "cut"])
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.provider)
def test_we_read_what_the_vendors_own_client_reads(mock: Mock, pair: Pair, limit: int, *, streams: bool) -> None:
    if not is_installed(pair.package):
        pytest.skip(f"{pair.package} is not installed (google-genai wants an older tenacity than ours)")
    theirs = pair.ask(mock.url, pair.model, limit, streams)

    ours = by_us(mock, pair, limit, streams=streams)

    assert ours.usage is not None
    assert (ours.text, ours.finish) == (theirs.text, read_finish(theirs.finish))
    assert (ours.usage.input_tokens, ours.usage.output_tokens) == (theirs.input_tokens, theirs.output_tokens)
