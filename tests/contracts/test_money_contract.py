"""What a call costs, from a vendor's own words on the wire to the cent's ten-thousandth, for two dozen models.

The other side is reckoned here: prices as literals, in exact decimals, from the numbers in the vendor's body.
"""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from convergence_cluster.bootstrap.providers import build_endpoint
from convergence_cluster.domain.calls import Answer, Request, TestCase
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.metering.prices import Prices, PriceSettings
from convergence_cluster.providers.http import HttpTransport
from convergence_cluster.spec.schema_api import ApiSection
from tests.contracts.loopback import as_json, serving

MICRO_USD = 1e-6
N_INPUT, N_CACHED, N_THOUGHT, N_SAID = 123_457, 34_567, 7_891, 15_551
N_WRITTEN, N_WRITTEN_LONG = 2_345, 1_234
N_OUTPUT = N_SAID + N_THOUGHT


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A model with its prices in USD for a million tokens."""

    provider: str
    model: str
    url: str
    input: str
    output: str
    cached: str | None = None
    write: str | None = None
    long_write: str | None = None

    def usd(self) -> Decimal:
        """Return what the tokens in `body_of` cost."""
        n_written = N_WRITTEN + N_WRITTEN_LONG if self.provider == "anthropic" else 0
        n_cached = N_CACHED if self.provider != "together" else 0
        sums = [
            (N_INPUT - n_cached - n_written, self.input),
            (n_cached, self.cached or self.input),
            (N_OUTPUT, self.output),
        ]
        if n_written:
            sums += [(N_WRITTEN, self.write or self.input), (N_WRITTEN_LONG, self.long_write or self.input)]
        return sum((Decimal(n) * Decimal(price) for n, price in sums), Decimal(0)) / 1_000_000


OPENAI, ANTHROPIC = "https://api.openai.com/v1", "https://api.anthropic.com"
GOOGLE, GROQ = "https://generativelanguage.googleapis.com", "https://api.groq.com/openai/v1"
MISTRAL, TOGETHER = "https://api.mistral.ai/v1", "https://api.together.xyz/v1"
AZURE = "https://name.openai.azure.com/openai/v1"


def openai(model: str, input: str, cached: str, output: str) -> Listed:  # noqa: A002 - the word of the price list
    return Listed(provider="openai", model=model, url=OPENAI, input=input, cached=cached, output=output)


def claude(model: str, *prices: str) -> Listed:
    """Prices of input, cache reads, cache writes, writes for an hour, output."""
    names = ("input", "cached", "write", "long_write", "output")
    return Listed(provider="anthropic", model=model, url=ANTHROPIC, **dict(zip(names, prices, strict=True)))


def gemini(model: str, input: str, cached: str, output: str) -> Listed:  # noqa: A002
    return Listed(provider="gemini", model=model, url=GOOGLE, input=input, cached=cached, output=output)


MODELS = (
    openai("gpt-4.1", "2", "0.5", "8"),
    openai("gpt-4.1-mini", "0.4", "0.1", "1.6"),
    openai("gpt-4.1-nano", "0.1", "0.025", "0.4"),
    openai("gpt-4o", "2.5", "1.25", "10"),
    openai("gpt-4o-mini", "0.15", "0.075", "0.6"),
    openai("o3", "2", "0.5", "8"),
    openai("o4-mini", "1.1", "0.275", "4.4"),
    openai("gpt-5", "1.25", "0.125", "10"),
    openai("gpt-5-mini", "0.25", "0.025", "2"),
    openai("gpt-5-nano", "0.05", "0.005", "0.4"),
    Listed(provider="openai-responses", model="gpt-5", url=OPENAI, input="1.25", cached="0.125", output="10"),
    Listed(provider="azure", model="gpt-4o-mini", url=AZURE, input="0.15", cached="0.075", output="0.6"),
    claude("claude-haiku-4-5", "1", "0.1", "1.25", "2", "5"),
    claude("claude-sonnet-4-5", "3", "0.3", "3.75", "6", "15"),
    claude("claude-opus-4-5", "5", "0.5", "6.25", "10", "25"),
    claude("claude-3-5-haiku-latest", "0.8", "0.08", "1", "1.6", "4"),
    gemini("gemini-2.5-flash", "0.3", "0.03", "2.5"),
    gemini("gemini-2.5-pro", "1.25", "0.125", "10"),
    gemini("gemini-2.5-flash-lite", "0.1", "0.01", "0.4"),
    gemini("gemini-2.0-flash", "0.1", "0.025", "0.4"),
    Listed(provider="groq", model="llama-3.3-70b-versatile", url=GROQ, input="0.59", output="0.79"),
    Listed(provider="groq", model="openai/gpt-oss-120b", url=GROQ, input="0.15", cached="0.075", output="0.6"),
    Listed(provider="mistral", model="mistral-small-latest", url=MISTRAL, input="0.15", cached="0.015", output="0.6"),
    Listed(provider="mistral", model="mistral-large-latest", url=MISTRAL, input="2", output="6"),
    Listed(
        provider="together", model="meta-llama/Llama-3.3-70B-Instruct-Turbo", url=TOGETHER, input="0.88", output="0.88"
    ),
)


def body_of(provider: str) -> Any:
    """Return an answer with the tokens above, as the vendor counts them."""
    if provider == "anthropic":
        n_written = N_WRITTEN + N_WRITTEN_LONG
        usage: dict[str, Any] = {
            "input_tokens": N_INPUT - N_CACHED - n_written,
            "cache_read_input_tokens": N_CACHED,
            "cache_creation_input_tokens": n_written,
            "cache_creation": {
                "ephemeral_5m_input_tokens": N_WRITTEN,
                "ephemeral_1h_input_tokens": N_WRITTEN_LONG,
            },
            "output_tokens": N_OUTPUT,
            "output_tokens_details": {"thinking_tokens": N_THOUGHT},
        }
        return {"content": [{"type": "text", "text": "so"}], "stop_reason": "end_turn", "usage": usage}
    if provider == "gemini":
        usage = {
            "promptTokenCount": N_INPUT,
            "cachedContentTokenCount": N_CACHED,
            "candidatesTokenCount": N_SAID,
            "thoughtsTokenCount": N_THOUGHT,
        }
        candidate = {"content": {"parts": [{"text": "so"}]}, "finishReason": "STOP"}
        return {"candidates": [candidate], "usageMetadata": usage}
    details = {"input": {"cached_tokens": N_CACHED}, "output": {"reasoning_tokens": N_THOUGHT}}
    if provider == "openai-responses":
        usage = {"input_tokens": N_INPUT, "output_tokens": N_OUTPUT}
        usage |= {f"{name}_tokens_details": detail for name, detail in details.items()}
        message = {"type": "message", "content": [{"type": "output_text", "text": "so"}]}
        return {"status": "completed", "output": [message], "usage": usage}
    usage = {"prompt_tokens": N_INPUT, "completion_tokens": N_OUTPUT}
    if provider != "together":
        usage |= {"prompt_tokens_details": details["input"], "completion_tokens_details": details["output"]}
    return {"choices": [{"message": {"content": "so"}, "finish_reason": "stop"}], "usage": usage}


def answer_of(listed: Listed) -> Answer:
    async def act() -> Answer:
        async with serving(as_json(body_of(listed.provider))) as server:
            api = ApiSection.model_validate({"name": "x", "provider": listed.provider, "endpoint": server.url})
            transport = HttpTransport(clock=SystemClock(), environ={})
            provider = build_endpoint(api, server.url, transport=transport, environ={}, clock=SystemClock())
            case = TestCase(id=CaseId("one"), input={"question": "Why?"})
            request = Request(configuration={"model": listed.model}, case=case, idempotency_key="s:0:0:0")
            try:
                return await provider.send(request)
            finally:
                await provider.close()

    return asyncio.run(act())


@pytest.mark.parametrize("listed", MODELS, ids=lambda listed: f"{listed.provider}-{listed.model}")
def test_a_call_costs_what_an_independent_reckoning_says(listed: Listed) -> None:
    answer = answer_of(listed)
    prices = Prices(PriceSettings(api_url=listed.url), clock=SystemClock())

    cost = prices.cost(model=listed.model, usage=answer.usage, reported_usd=answer.cost_usd)

    assert cost is not None
    assert cost.usd == pytest.approx(float(listed.usd()), abs=MICRO_USD / 1000)
    assert cost.source.startswith("genai-prices ")
    bound = prices.upper_bound(model=listed.model, n_input_chars=4 * N_INPUT, max_output_tokens=N_OUTPUT)
    assert bound is not None
    assert bound >= cost.usd


def test_a_model_that_nobody_lists_has_no_price_and_not_zero() -> None:
    prices = Prices(PriceSettings(api_url=OPENAI), clock=SystemClock())

    assert prices.cost(model="gpt-99-unheard-of", usage=answer_of(MODELS[0]).usage) is None
    assert prices.upper_bound(model="gpt-99-unheard-of", n_input_chars=10, max_output_tokens=10) is None
