"""What each vendor documents, and what its adapter makes of it, over a real socket and through the study's own keys."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import genai_prices
import pytest

from convergence_cluster.bootstrap.providers import build_endpoint
from convergence_cluster.domain.calls import Answer, Finish, Request, TestCase, Usage
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import ConvergenceError, ProviderStopError, TransientError
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.metering.prices import Prices, PriceSettings
from convergence_cluster.providers.http import HttpTransport
from convergence_cluster.spec.schema_api import ApiSection
from convergence_cluster.trials.protocols import Provider
from tests.contracts.loopback import Received, Scripted, as_json, serving
from tests.contracts.vendors import (
    ANSWER,
    AZURE_CLASSIC,
    AZURE_FILTERED,
    CONFIGURATION,
    QUESTION,
    VENDORS,
    Fault,
    Vendor,
)

CANARY = "sk-canary-1b5e9c7d4f"
SHARED = {name: CONFIGURATION[name] for name in ("model", "temperature", "max_tokens", "system_prompt")}
CASE = TestCase(id=CaseId("greeting"), input={"question": QUESTION})


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    chosen: Vendor = request.param
    return chosen


def provider_of(vendor: Vendor, base_url: str) -> Provider:
    """Return the adapter that a study with this provider gets."""
    auth = {**vendor.auth, "token_env": "THE_KEY"}
    url = base_url + vendor.endpoint
    api = ApiSection.model_validate({"name": "x", "provider": vendor.provider, "endpoint": url, "auth": auth})
    clock, environ = SystemClock(), {"THE_KEY": CANARY}
    transport = HttpTransport(clock=clock, environ=environ)
    return build_endpoint(api, url, transport=transport, environ=environ, clock=clock)


def request_of(vendor: Vendor, **parameters: Any) -> Request:
    configuration = {**SHARED, **vendor.parameters, **parameters}
    return Request(configuration=configuration, case=CASE, idempotency_key="study:3:0:1")


def exchange(vendor: Vendor, scripted: Scripted, **parameters: Any) -> tuple[Answer, Received]:
    """Send one request as a study with this provider does, and return the answer and what the server saw."""

    async def act() -> tuple[Answer, Received]:
        async with serving(scripted) as server:
            provider = provider_of(vendor, server.url)
            try:
                return await provider.send(request_of(vendor, **parameters)), server.received[0]
            finally:
                await provider.close()

    return asyncio.run(act())


def ask(vendor: Vendor, body: Any, **parameters: Any) -> Answer:
    return exchange(vendor, as_json(body), **parameters)[0]


def as_stream(events: tuple[Any, ...]) -> Scripted:
    lines = [f"event: x\ndata: {json.dumps(event)}\n\n" for event in events]
    return Scripted(headers={"content-type": "text/event-stream"}, body="".join(lines).encode())


def test_the_request_is_as_the_vendor_documents_it(vendor: Vendor) -> None:
    _, received = exchange(vendor, as_json(vendor.answer))

    assert (received.method, received.target) == ("POST", vendor.target)
    assert received.json() == vendor.sent
    assert received.headers["content-type"] == "application/json"
    assert received.headers[vendor.key_header] == (CANARY if vendor.auth["type"] == "api_key" else f"Bearer {CANARY}")
    assert [value for value in received.headers.values() if CANARY in value] == [received.headers[vendor.key_header]]
    assert {name: received.headers[name] for name in vendor.headers} == vendor.headers


def test_the_answer_comes_in_our_words(vendor: Vendor) -> None:
    answer = ask(vendor, vendor.answer)

    assert (answer.text, answer.result, answer.finish) == (ANSWER, ANSWER, Finish.STOP)
    assert (answer.usage, answer.model, answer.cost_usd) == (vendor.usage, "small-1-2026", vendor.cost_usd)
    assert answer.raw == vendor.answer
    assert 0.0 < answer.latency_s < 5.0


def test_a_refusal_is_told_from_an_answer(vendor: Vendor) -> None:
    assert ask(vendor, vendor.refused).finish is Finish.REFUSAL


def test_a_truncated_answer_is_told_from_a_whole_one(vendor: Vendor) -> None:
    answer = ask(vendor, vendor.truncated)

    assert (answer.text, answer.finish) == (ANSWER, Finish.LENGTH)


def test_a_stream_is_the_same_answer(vendor: Vendor) -> None:
    answer, received = exchange(vendor, as_stream(vendor.stream), stream=True)

    assert (answer.text, answer.finish, answer.model) == (ANSWER, Finish.STOP, "small-1-2026")
    assert answer.usage == (vendor.streamed_usage or vendor.usage)
    assert received.target == (vendor.streamed_target or vendor.target)
    assert ("stream" in received.json()) is (vendor.streamed_target is None)
    assert ("stream_options" in received.json()) is ("choices" in vendor.stream[-1] and vendor.name != "mistral")


def test_the_time_to_the_first_token_is_that_of_the_first_piece_of_the_answer(vendor: Vendor) -> None:
    """Events that say nothing come first, then a piece, then the rest."""
    first = next(n for n, event in enumerate(vendor.stream) if ANSWER[:5] in json.dumps(event))
    n_before, n_with_piece = (len(as_stream(vendor.stream[:n]).body) for n in (first, first + 1))
    pauses = ((n_before, 0.1), (n_with_piece, 0.15)) if first else ((n_with_piece, 0.15),)
    expected_s = 0.1 if first else 0.0

    answer, _ = exchange(vendor, replace(as_stream(vendor.stream), pauses=pauses), stream=True)

    assert answer.ttft_s is not None
    assert expected_s <= answer.ttft_s < expected_s + 0.1
    assert answer.ttft_s + 0.14 <= answer.latency_s


def test_an_answer_in_one_has_no_first_token(vendor: Vendor) -> None:
    assert ask(vendor, vendor.answer).ttft_s is None


def test_half_a_stream_is_not_taken_for_a_whole(vendor: Vendor) -> None:
    is_last_usage = "choices" in vendor.stream[-1]

    with pytest.raises(TransientError) as caught:
        exchange(vendor, as_stream(vendor.stream[: -2 if is_last_usage else -1]), stream=True)

    assert caught.value.kind == "unknown"


def test_a_stream_cut_within_an_event_is_not_taken_for_a_whole(vendor: Vendor) -> None:
    whole = as_stream(vendor.stream)

    with pytest.raises(TransientError) as caught:
        exchange(vendor, Scripted(headers=whole.headers, body=whole.body[: len(whole.body) // 2]), stream=True)

    assert caught.value.kind == "unknown"


def faults() -> list[Any]:
    numbered = [(vendor, index, fault) for vendor in VENDORS for index, fault in enumerate(vendor.faults)]
    return [pytest.param(v, fault, id=f"{v.name}-{fault.status}-{index}") for v, index, fault in numbered]


@pytest.mark.parametrize(("vendor", "fault"), faults())
def test_each_refusal_has_its_meaning(vendor: Vendor, fault: Fault) -> None:
    with pytest.raises(ConvergenceError) as caught:
        exchange(vendor, as_json(fault.body, status=fault.status, headers=fault.headers))

    assert type(caught.value) is fault.expected
    assert f"HTTP {fault.status}" in str(caught.value) or fault.status == 200
    assert CANARY not in str(caught.value)
    if fault.wait_s is not None or fault.kind is not None:
        assert isinstance(caught.value, TransientError)
        assert caught.value.retry_after_s == fault.wait_s
        assert caught.value.kind == fault.kind


def test_the_three_kinds_of_429_are_told_apart(vendor: Vendor) -> None:
    if not vendor.has_quotas:
        pytest.skip("a server at home has no quotas")
    many = [fault for fault in vendor.faults if fault.status == 429 or fault.expected is ProviderStopError]
    kinds = {fault.kind or fault.expected.__name__ for fault in many}

    assert {"error", "parked", "ProviderStopError"} <= kinds


def test_a_prompt_that_azures_filter_stops_is_a_refusal() -> None:
    answer, _ = exchange(AZURE_CLASSIC, as_json(AZURE_FILTERED, status=400))

    assert (answer.finish, answer.usage, answer.status) == (Finish.REFUSAL, None, 400)
    assert answer.text.startswith("The response was filtered")


@pytest.mark.parametrize("kind", ["echo", "echo 400", "echo 401", "echo 429", "html", "closed"])
def test_a_key_is_found_nowhere(vendor: Vendor, kind: str) -> None:
    scripted = {
        "echo": Scripted(is_echo=True),
        "echo 400": Scripted(is_echo=True, status=400),
        "echo 401": Scripted(is_echo=True, status=401),
        "echo 429": Scripted(is_echo=True, status=429),
        "html": Scripted(body=f"<p>{CANARY}".encode()),
        "closed": Scripted(is_silent=True),
    }[kind]

    try:
        written = repr(exchange(vendor, scripted)[0])
    except ConvergenceError as caught:
        written = f"{caught!r} {caught.__cause__!r} {caught.__context__!r}"

    assert written
    assert CANARY not in written


def test_the_price_is_that_of_an_independent_computation(vendor: Vendor) -> None:
    if not vendor.priced_model:
        pytest.skip("nobody lists a price for a server at home, or the answer itself tells it")
    usage = ask(vendor, vendor.answer).usage
    assert usage is not None

    cost = Prices(PriceSettings(api_url=vendor.url), clock=SystemClock()).cost(model=vendor.priced_model, usage=usage)

    assert cost is not None
    assert cost.usd == pytest.approx(independent_usd(vendor, usage), abs=1e-9)


def independent_usd(vendor: Vendor, usage: Usage) -> float:
    tokens: Mapping[str, int] = {
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
    }
    price = genai_prices.calc_price(genai_prices.Usage(**tokens), vendor.priced_model, provider_api_url=vendor.url)
    return float(price.total_price)


def test_a_broken_event_ends_a_stream_at_once(vendor: Vendor) -> None:
    """What comes after it is not waited for, and not paid for where the vendor minds."""
    whole = as_stream(vendor.stream)
    n_half = whole.body.index(b"\n\n") + 2
    broken = whole.body[:n_half] + b"data: {broken\n\n"
    scripted = replace(whole, body=broken + whole.body[n_half:], pauses=((len(broken), 30.0),))

    began_s = time.monotonic()
    with pytest.raises(TransientError, match="the stream was cut") as caught:
        exchange(vendor, scripted, stream=True)

    assert time.monotonic() - began_s < 5.0
    assert caught.value.kind == "unknown"


@pytest.mark.parametrize("how", ["whole", "stream"])
def test_a_call_that_is_cancelled_closes_its_connection_and_hinders_no_other(vendor: Vendor, how: str) -> None:
    """The server sees the end at once, so that it need not write, and bill, what nobody reads."""
    whole = as_json(vendor.answer) if how == "whole" else as_stream(vendor.stream)
    slow = replace(whole, delay_s=30.0) if how == "whole" else replace(whole, pauses=((len(whole.body) // 2, 30.0),))

    async def act() -> tuple[float, Answer]:
        async with serving(slow, whole) as server:
            provider = provider_of(vendor, server.url)
            try:
                first = asyncio.create_task(provider.send(request_of(vendor, stream=how == "stream")))
                while not server.received:
                    await asyncio.sleep(0.005)
                began_s = asyncio.get_running_loop().time()
                first.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await first
                cancelled_s = asyncio.get_running_loop().time() - began_s
                await asyncio.wait_for(server.left.wait(), 10.0)  # long before the 30 s of the answer
                return cancelled_s, await provider.send(request_of(vendor, stream=how == "stream"))
            finally:
                await provider.close()

    cancelled_s, answer = asyncio.run(act())

    assert cancelled_s < 0.5
    assert answer.text == ANSWER
