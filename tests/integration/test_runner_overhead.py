"""What a call costs this process besides the HTTP client."""

import asyncio
import json
import time
from collections.abc import Callable
from statistics import median

import pytest

from convergence_cluster.domain.calls import Call, OutcomeKind, TestCase
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.identity import ArmId, CaseId, StudyId
from convergence_cluster.evaluators.builtin import BuiltinEvaluator
from convergence_cluster.metering.budget import Budget
from convergence_cluster.metering.prices import Price, Prices, PriceSettings
from convergence_cluster.metering.rate import RateLimiter
from convergence_cluster.providers.chat import ChatProvider
from convergence_cluster.providers.generic import GenericProvider
from convergence_cluster.providers.http import Endpoint
from convergence_cluster.providers.openai_chat import OPENAI_COMPATIBLE
from convergence_cluster.providers.request_rule import RequestRule
from convergence_cluster.providers.response_rule import ResponseRule
from convergence_cluster.trials.protocols import Provider
from convergence_cluster.trials.running import TrialPlan, TrialRunner
from tests.unit.providers.fakes import MemoryTransport

pytestmark = pytest.mark.alone

MAX_PARSES = 28
"""Parses of its response that a call may cost: 0.1 ms where one takes 3.6 us, on a machine whose pace changes."""
N_CALLS = 100
N_ROUNDS = 60
"""Short ones, each compared within itself: what else the machine does falls on both of its halves, or on few rounds."""
BODY = (
    b'{"id":"x","model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"'
    + b"The answer is 42. " * 10
    + b'"},"finish_reason":"stop"}],"usage":{"prompt_tokens":120,"completion_tokens":40,"total_tokens":160}}'
)


def chat() -> Provider:
    return ChatProvider(
        transport=MemoryTransport(BODY), endpoint=Endpoint(url="x"), clock=SystemClock(), wire=OPENAI_COMPATIBLE
    )


def generic() -> Provider:
    messages = [{"role": "user", "content": "Q: {{ case.question }}"}]
    limit = "{{ params.max_tokens | default(omit) }}"
    body = {"model": "{{ params.model }}", "max_tokens": limit, "messages": messages}
    return GenericProvider(
        transport=MemoryTransport(BODY),
        endpoint=Endpoint(url="https://h/p"),
        clock=SystemClock(),
        request=RequestRule(body=body),
        response=ResponseRule(result="choices[0].message.content", error="error"),
    )


@pytest.mark.parametrize("provider_of", [chat, generic])
def test_a_call_costs_few_parses_of_its_response_besides_http(
    provider_of: Callable[[], Provider],
) -> None:
    clock = SystemClock()
    case = TestCase(id=CaseId("a"), input={"question": "What is the answer to everything? " * 5}, expected="42")
    price = Price(input_per_million_usd=0.1, output_per_million_usd=0.4)
    runner = TrialRunner(
        TrialPlan(
            cases=(case,),
            evaluators=(BuiltinEvaluator(metric="quality", function="contains"),),
            measured=("latency_ms", "cost_usd"),
        ),
        provider=provider_of(),
        prices=Prices(PriceSettings(by_model={"m": price}), clock=clock),
        meter=Budget(clock=clock),
        limiter=RateLimiter(rpm=1e9, tpm=1e12, concurrency=100),
        clock=clock,
        jitter=lambda: 0.0,
    )

    async def cpu_s_per_call() -> float:
        began_s = time.process_time()
        for repeat in range(N_CALLS):
            configuration = {"model": "m", "max_tokens": 256}
            call = Call(study=StudyId("s"), arm=ArmId(0), case=0, repeat=repeat, configuration=configuration)
            outcome = await runner.run(call)
            assert outcome.kind is OutcomeKind.OK
        return (time.process_time() - began_s) / N_CALLS

    rounds = [(asyncio.run(cpu_s_per_call()), _cpu_s_per_parse()) for _ in range(N_ROUNDS)]
    n_parses = median(call_s / parse_s for call_s, parse_s in rounds)

    least_s = min(call_s for call_s, _ in rounds)
    print(f"\n{provider_of.__name__}: {n_parses:.1f} parses a call, {least_s * 1e3:.4f} ms of CPU at least")  # noqa: T201 - shown by pytest -s
    assert n_parses <= MAX_PARSES


def _cpu_s_per_parse() -> float:
    began_s = time.process_time()
    for _ in range(N_CALLS):
        json.loads(BODY)
    return (time.process_time() - began_s) / N_CALLS
