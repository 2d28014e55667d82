"""Every adapter that it speaks to, with the product's retries, against a server that somebody else wrote.

PyPI `llmock` answers in the formats of several vendors, fails on request, and judges from its own journal how the
client took it: whether it waited as long as it was asked to, backed off, left alone what cannot succeed, and noticed
half an answer.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from convergence_cluster.bootstrap.providers import build_endpoint
from convergence_cluster.domain.calls import Answer, Finish, Request, TestCase
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import ConvergenceError, PermanentError, ProviderStopError
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.metering.retry import RetryPolicy, Tally, with_retries
from convergence_cluster.providers.http import HttpTransport
from convergence_cluster.spec.schema_api import ApiSection
from tests.llmock_server import Mock, llmock_server

FAST = RetryPolicy(max_retries=3, wait_initial_s=0.1)


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A format, where the server has it, and who it is for the server."""

    provider: str
    path: str
    known_as: str
    auth: str = "bearer"


SPOKEN = (
    Spoken(provider="openai", path="/v1/chat/completions", known_as="openai"),
    Spoken(provider="openai-responses", path="/v1/responses", known_as="openai"),
    Spoken(provider="anthropic", path="/anthropic/v1/messages", known_as="anthropic", auth="api_key"),
    Spoken(
        provider="gemini",
        path="/gemini/v1beta/models/{{ params.model }}:generateContent",
        known_as="gemini",
        auth="api_key",
    ),
    Spoken(provider="groq", path="/groq/openai/v1/chat/completions", known_as="groq"),
    Spoken(provider="together", path="/together/v1/chat/completions", known_as="together"),
    Spoken(provider="mistral", path="/mistral/v1/chat/completions", known_as="mistral"),
)
MODELS = {
    "anthropic": "claude-haiku-4-5",
    "gemini": "gemini-2.5-flash",
    "groq": "llama-3.3-70b-versatile",
    "together": "meta-llama/Llama-3-8b-chat-hf",
    "mistral": "mistral-small-latest",
}


@pytest.fixture(scope="module")
def running() -> Iterator[Mock]:
    with llmock_server() as mock:
        yield mock


@pytest.fixture
def mock(running: Mock) -> Mock:
    running.post("reset")
    return running


def ask(mock: Mock, spoken: Spoken, question: str, **parameters: Any) -> tuple[Answer | ConvergenceError, Tally]:
    """Ask as a study does, retries included."""

    async def act() -> tuple[Answer | ConvergenceError, Tally]:
        url = mock.url + spoken.path
        auth = {"type": spoken.auth, "token_env": "THE_KEY"}
        api = ApiSection.model_validate({"name": "x", "provider": spoken.provider, "endpoint": url, "auth": auth})
        clock, environ, tally = SystemClock(), {"THE_KEY": "sk-some-key"}, Tally()
        transport = HttpTransport(clock=clock, environ=environ)
        provider = build_endpoint(api, url, transport=transport, environ=environ, clock=clock)
        configuration = {"model": MODELS.get(spoken.provider, "gpt-4.1-mini"), "max_tokens": 256, **parameters}
        case = TestCase(id=CaseId("one"), input={"question": question})

        async def send() -> Answer:
            tally.n_attempts += 1
            request = Request(configuration=configuration, case=case, idempotency_key=f"study:0:{question}:0")
            return await provider.send(request)

        try:
            answer = await with_retries(send, policy=FAST, tally=tally, jitter=lambda: 0.5, reserve=lambda: True)
        except ConvergenceError as caught:
            return caught, tally
        else:
            return answer, tally
        finally:
            await provider.close()

    return asyncio.run(act())


@pytest.mark.parametrize("spoken", SPOKEN, ids=lambda spoken: spoken.provider)
@pytest.mark.parametrize("how", ["whole", "stream"])
def test_the_answer_of_a_foreign_server_is_read(mock: Mock, spoken: Spoken, how: str) -> None:
    parameters = {"stream": True} if how == "stream" else {}

    answer, tally = ask(mock, spoken, "Say hyacinth.", system_prompt="Be brief.", temperature=0.5, **parameters)

    assert isinstance(answer, Answer), answer
    assert "hyacinth" in answer.text
    assert answer.finish is Finish.STOP
    assert tally.n_attempts == 1
    if (spoken.provider, how) == ("mistral", "stream"):
        return  # this server counts a stream's tokens only if asked, for which Mistral's own refuses the request
    assert answer.usage is not None
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


@pytest.mark.parametrize("spoken", SPOKEN, ids=lambda spoken: spoken.provider)
def test_a_foreign_judge_finds_nothing_wrong_with_how_faults_are_taken(mock: Mock, spoken: Spoken) -> None:
    match = {"provider": spoken.known_as}
    mock.plan({"type": "fail", "status": 429, "retry_after": 0.7, "times": 2, "match": match})
    answer, waited = ask(mock, spoken, "first")
    assert isinstance(answer, Answer), answer
    assert (waited.n_attempts, waited.waited_s >= 1.4) == (3, True)

    mock.plan({"type": "fail", "status": 503, "times": 3, "match": match})
    answer, backed_off = ask(mock, spoken, "second")
    assert isinstance(answer, Answer), answer
    assert backed_off.n_attempts == 4

    for status, expected in ((400, PermanentError), (401, ProviderStopError), (404, PermanentError)):
        mock.plan({"type": "fail", "status": status, "match": match})
        caught, once = ask(mock, spoken, f"answered {status}")
        assert isinstance(caught, expected), caught
        assert once.n_attempts == 1

    for kind in ("truncate", "disconnect"):
        assert_stream_is_repeated(mock, spoken, kind)

    report = mock.report()
    assert report.returncode == 0, report.stdout
    assert mock.verdict() == {
        "passed": True,
        "calls": 7,
        "attempts": 14,
        "faults_injected": 10,
        "errors": 0,
        "warnings": 0,
        "findings": [],
    }


@pytest.mark.parametrize("spoken", SPOKEN, ids=lambda spoken: spoken.provider)
def test_a_broken_event_in_a_stream_is_noticed(mock: Mock, spoken: Spoken) -> None:
    """Kept from the judge: whether it sees that the stream was left depends on how much was on its way already."""
    assert_stream_is_repeated(mock, spoken, "malformed")


def assert_stream_is_repeated(mock: Mock, spoken: Spoken, kind: str) -> None:
    mock.plan({"type": "stream_fault", "kind": kind, "after_chunks": 1})
    answer, tally = ask(mock, spoken, f"a stream with the fault {kind}", stream=True)

    assert isinstance(answer, Answer), answer
    assert kind in answer.text
    assert tally.n_attempts == 2
