"""Python functions as the API: what they get, what they may return, and what each way to fail means."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from convergence_cluster.domain.calls import Answer, Finish, Request, TestCase, Usage
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import (
    ConvergenceError,
    InfeasibleError,
    PermanentError,
    ProviderStopError,
    SpecError,
    TransientError,
)
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.providers.functions import FunctionProvider
from convergence_cluster.providers.response_rule import CostTerm, ResponseRule

CONFIGURATION = {"temperature": 0.5, "style": "short"}
REQUEST = Request(
    configuration=CONFIGURATION,
    case=TestCase(id=CaseId("one"), input={"question": "Why?", "options": {"deep": [1]}}),
    idempotency_key="s:0:0:0",
)


def call(function: Callable[..., Any], *, n_calls: int = 1, **options: Any) -> list[Answer]:
    async def act() -> list[Answer]:
        provider = FunctionProvider(function, where="mine.py:f", clock=SystemClock(), **options)
        try:
            return list(await asyncio.gather(*(provider.send(REQUEST) for _ in range(n_calls))))
        finally:
            await provider.close()

    return asyncio.run(act())


def failure_of(function: Callable[..., Any], **options: Any) -> ConvergenceError:
    with pytest.raises(ConvergenceError) as caught:
        call(function, **options)
    return caught.value


def whole(params: Mapping[str, Any], case: Mapping[str, Any]) -> Any:
    return f"{case['question']} {params['style']}"


async def whole_async(params: Mapping[str, Any], case: Mapping[str, Any]) -> Any:
    await asyncio.sleep(0)
    return f"{case['question']} {params['style']}"


def by_name(question: str, style: str, more: str = "") -> Any:
    return f"{question} {style}{more}"


def with_all(**fields: Any) -> Any:
    return f"{fields['question']} {fields['style']}"


def mixed(question: str, params: Mapping[str, Any]) -> Any:
    return f"{question} {params['style']}"


def returns_awaitable(question: str, style: str) -> Any:
    return whole_async({"style": style}, {"question": question})


@pytest.mark.parametrize("function", [whole, whole_async, by_name, with_all, mixed, returns_awaitable])
def test_a_function_gets_the_configuration_and_the_case(function: Callable[..., Any]) -> None:
    (answer,) = call(function)

    assert (answer.text, answer.result, answer.finish) == ("Why? short", "Why? short", Finish.STOP)


def test_what_it_returns_is_read_like_the_body_of_an_answer() -> None:
    def function(question: str) -> Any:
        usage = {"input_tokens": 3, "output_tokens": 2}
        return {"out": {"text": question}, "usage": usage, "model": "m", "seconds": 2, "why": "length"}

    rule = ResponseRule(result="out.text", cost=(CostTerm(path="seconds", usd_per_unit=0.01),), finish="why")
    (answer,) = call(function, response=rule)

    assert (answer.text, answer.model, answer.finish) == ("Why?", "m", Finish.LENGTH)
    assert answer.usage == Usage(input_tokens=3, output_tokens=2)
    assert answer.cost_usd == pytest.approx(0.02)


def test_what_a_function_does_to_its_arguments_stays_its_affair() -> None:
    def function(case: dict[str, Any], params: dict[str, Any]) -> str:
        case["options"]["deep"].append(2)
        params.clear()
        return str(case["options"]["deep"])

    assert [answer.text for answer in call(function, n_calls=2)] == ["[1, 2]", "[1, 2]"]
    assert REQUEST.configuration == CONFIGURATION


def test_plain_functions_run_at_once_and_their_latency_is_their_own() -> None:
    def function(question: str) -> str:
        time.sleep(0.05)
        return question

    began_s = time.monotonic()
    answers = call(function, n_calls=20)

    assert time.monotonic() - began_s < 0.5
    assert all(0.05 <= answer.latency_s < 0.2 for answer in answers)


def raising(error: BaseException) -> Callable[[], Any]:
    def function() -> Any:
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "expected", "said"),
    [
        (ValueError("bad input"), PermanentError, r"mine.py:f raised ValueError: bad input \(line \d+ of test_fun"),
        (SystemExit(2), PermanentError, "mine.py:f raised SystemExit: 2"),
        (TimeoutError("upstream"), TransientError, "mine.py:f: upstream"),
        (ConnectionResetError("gone"), TransientError, "mine.py:f: ConnectionResetError: gone"),
        (InfeasibleError("no such style"), InfeasibleError, "no such style"),
        (ProviderStopError("no licence"), ProviderStopError, "no licence"),
        (TransientError("later", retry_after_s=3.0), TransientError, "later"),
        (SpecError("mine"), PermanentError, "mine.py:f raised SpecError: mine"),
    ],
)
def test_each_way_to_fail_has_its_meaning(error: BaseException, expected: type[ConvergenceError], said: str) -> None:
    with pytest.raises(expected, match=said) as caught:
        call(raising(error))

    assert type(caught.value) is expected


def test_a_function_that_takes_too_long_is_given_up() -> None:
    until = threading.Event()

    def function() -> str:
        until.wait(5)
        return "late"

    caught = failure_of(function, timeout_s=0.05)
    until.set()

    assert isinstance(caught, TransientError)
    assert (caught.kind, "no answer within 0.05 s" in str(caught)) == ("unknown", True)


def test_a_coroutine_that_is_cancelled_is_cancelled() -> None:
    ended: list[str] = []

    async def function() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def act() -> None:
        provider = FunctionProvider(function, where="mine.py:f", clock=SystemClock())
        task = asyncio.create_task(provider.send(REQUEST))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await provider.close()

    asyncio.run(act())

    assert ended == ["cancelled"]


def test_a_parameter_that_nothing_fills_is_named() -> None:
    def function(question: str, colour: str) -> str:
        return question + colour

    said = str(failure_of(function))

    assert said == "mine.py:f wants colour; this call has options, question, style, temperature"


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", {"x": object()}])
def test_what_json_cannot_hold_is_no_answer(value: Any) -> None:
    def function() -> Any:
        return value

    assert "expected" in str(failure_of(function))
