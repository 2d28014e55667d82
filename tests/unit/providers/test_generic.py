"""The adapter for any HTTP API."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from convergence_cluster.domain.calls import Answer, Finish, Usage
from convergence_cluster.domain.errors import ConvergenceError, PermanentError, SpecError, TransientError
from convergence_cluster.providers.generic import GenericProvider
from convergence_cluster.providers.http import Endpoint
from convergence_cluster.providers.request_rule import RequestRule
from convergence_cluster.providers.response_rule import CostTerm, ResponseRule
from tests.unit.metering.virtual_time import FixedClock
from tests.unit.providers.fakes import MemoryTransport, request

CONFIGURATION = {"level": 3, "fast": True, "tags": ["a", "b"], "nested": {"x": 1}}
CASE = {"url": "https://example.com/?q=1&r=ü", "level": 1}


def send(
    transport: MemoryTransport,
    *,
    rule: RequestRule | None = None,
    response: ResponseRule | None = None,
    configuration: Mapping[str, Any] = CONFIGURATION,
    **endpoint: Any,
) -> Answer:
    provider = GenericProvider(
        transport=transport,
        endpoint=Endpoint(**{"url": "https://api.example.com/v1"} | endpoint),
        clock=FixedClock(),
        request=rule,
        response=response,
    )
    return asyncio.run(provider.send(request(configuration, CASE)))


def read(body: Any, response: ResponseRule, **reply: Any) -> Answer:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return send(MemoryTransport(encoded, **reply), response=response)


def test_without_templates_the_configuration_is_merged_over_the_case() -> None:
    transport = MemoryTransport()

    send(transport)

    assert transport.sent == {**CASE, **CONFIGURATION}
    assert transport.headers["Content-Type"] == "application/json"
    assert transport.url == "https://api.example.com/v1"


def test_a_field_of_the_input_may_be_called_input() -> None:
    transport = MemoryTransport()
    provider = GenericProvider(
        transport=transport, endpoint=Endpoint(url="https://api.example.com/v1"), clock=FixedClock()
    )

    asyncio.run(provider.send(request({"model": "e"}, {"input": ["a", "b"]})))

    assert transport.sent == {"input": ["a", "b"], "model": "e"}


def test_a_get_without_templates_puts_them_into_the_query() -> None:
    transport = MemoryTransport()

    send(transport, method="GET", url="https://api.example.com/v1?key=1")

    assert transport.content is None
    assert transport.url == (
        "https://api.example.com/v1?key=1&url=https%3A%2F%2Fexample.com%2F%3Fq%3D1%26r%3D%C3%BC"
        "&level=3&fast=true&tags=a&tags=b&nested=%7B%22x%22%3A1%7D"
    )


def test_a_request_that_cannot_be_written_is_none_that_was_sent() -> None:
    transport = MemoryTransport()

    with pytest.raises(PermanentError, match="division") as caught:
        send(transport, rule=RequestRule(body={"x": "{{ 1 // (params.level - 3) }}"}))

    assert caught.value.is_unsent
    assert transport.url is None


def test_templates_fill_url_query_headers_and_body() -> None:
    transport = MemoryTransport()
    rule = RequestRule(
        body={"page": "{{ case.url }}", "level": "{{ params.level }}"},
        query={"fast": "{{ params.fast }}", "gone": "{{ params.gone | default(omit) }}"},
        headers={"X-Level": "{{ params.level }}"},
    )

    send(transport, rule=rule, url="https://api.example.com/l{{ params.level }}/go")

    assert transport.url == "https://api.example.com/l3/go?fast=true"
    assert transport.headers["X-Level"] == "3"
    assert transport.sent == {"page": CASE["url"], "level": 3}


def test_a_text_body_goes_as_it_is() -> None:
    transport = MemoryTransport()

    send(transport, rule=RequestRule(body="level={{ params.level }};ü"))

    assert transport.content == "level=3;ü".encode()
    assert "Content-Type" not in transport.headers


def test_a_form_goes_as_a_form() -> None:
    transport = MemoryTransport()

    send(
        transport,
        rule=RequestRule(body={"a": "{{ params.level }}", "b": "x y"}),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert transport.content == b"a=3&b=x+y"


def test_an_invalid_path_is_an_error_before_any_call() -> None:
    with pytest.raises(SpecError, match=r"response\.result_field: 'choices\[0\.x' is not valid JMESPath"):
        read({}, ResponseRule(result="choices[0.x"))


@pytest.mark.parametrize(
    ("path", "expected_text", "expected_result"),
    [
        ("choices[0].message.content", "hi", "hi"),
        ("data", '{"n":[1,2.5],"ü":null}', {"n": [1, 2.5], "ü": None}),
        ("data.n[1]", "2.5", 2.5),
        ("join(' ', choices[].message.content)", "hi", "hi"),
        ("is_good", "false", False),
    ],
)
def test_a_path_selects_the_result(path: str, expected_text: str, expected_result: Any) -> None:
    body = {"choices": [{"message": {"content": "hi"}}], "data": {"n": [1, 2.5], "ü": None}, "is_good": False}

    answer = read(body, ResponseRule(result=path))

    assert (answer.text, answer.result) == (expected_text, expected_result)
    assert answer.latency_s == 0.125


def test_a_result_that_is_not_there_names_path_and_keys() -> None:
    with pytest.raises(PermanentError, match=r"no result at 'a\.b'; the answer has \['c', 'd'\]"):
        read({"c": 1, "d": 2}, ResponseRule(result="a.b"))


def test_without_a_path_the_whole_body_is_the_result() -> None:
    assert read({"a": 1}, ResponseRule()).result == {"a": 1}
    assert read(b"<p>plain</p>", ResponseRule(), content_type="text/html").text == "<p>plain</p>"


def test_half_a_json_answer_is_not_taken_for_text() -> None:
    with pytest.raises(TransientError, match="not valid JSON"):
        read(b'{"a": ', ResponseRule(), content_type="text/plain")


@pytest.mark.parametrize(
    ("usage", "rule", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, None, Usage(input_tokens=5, output_tokens=2)),
        (
            {"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 1},
            None,
            Usage(input_tokens=16, output_tokens=2, cached_tokens=10, cache_write_tokens=1),
        ),
        (
            {"in": 5, "out": None},
            {"input_tokens": "usage.in", "output_tokens": "usage.out"},
            Usage(input_tokens=5, output_tokens=0),
        ),
        ({"other": 1}, {"input_tokens": "usage.in"}, None),
        ({"other": 1}, None, None),
        ("many", None, None),
    ],
)
def test_usage_is_read_by_path_or_by_its_usual_names(usage: Any, rule: Any, expected: Usage | None) -> None:
    assert read({"usage": usage}, ResponseRule(usage=rule)).usage == expected


def test_an_unknown_name_of_usage_is_an_error_before_any_call() -> None:
    with pytest.raises(SpecError, match="unknown \\['tokens'\\]"):
        read({}, ResponseRule(usage={"tokens": "usage"}))


def test_cost_is_the_sum_of_its_terms() -> None:
    terms = (CostTerm(path="meta.credits", usd_per_unit=0.001), CostTerm(path="meta.usd"))

    assert read({"meta": {"credits": 5, "usd": 0.5}}, ResponseRule(cost=terms)).cost_usd == pytest.approx(0.505)


def test_a_cost_with_a_missing_term_is_unknown() -> None:
    terms = (CostTerm(path="meta.credits", usd_per_unit=0.001), CostTerm(path="meta.usd"))

    assert read({"meta": {"credits": 5}}, ResponseRule(cost=terms)).cost_usd is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"usd": 1e308}, "POST host/path: the answer reports a cost of 1e+308 USD; expected at most 1,000,000"),
        ({"usd": 10**400}, "the answer reports a cost of 1.000e+400; expected a number of at least 0"),
        ({"usd": -1}, "the answer reports a cost of -1; expected a number of at least 0"),
        ({"usd": float("nan")}, "the answer reports a cost of nan; expected a number of at least 0"),
        ({"usd": 1, "usage": {"input_tokens": 10**30}}, "reports 1.000e+30 tokens; expected from 0 to 1,000,000,000"),
        ({"usd": 1, "usage": {"input_tokens": 1, "output_tokens": -5}}, "the answer reports -5 tokens"),
    ],
)
def test_what_no_answer_can_cost_makes_it_malformed_and_is_not_booked(body: Any, expected: str) -> None:
    with pytest.raises(PermanentError) as caught:
        read(body | {"out": "hi"}, ResponseRule(result="out", cost=(CostTerm(path="usd"),)))

    assert expected in str(caught.value)
    assert caught.value.answer is not None
    assert (caught.value.answer.text, caught.value.answer.usage) == ("hi", None)
    assert caught.value.answer.cost_usd in {None, 1.0}


def test_a_sum_of_costs_that_no_answer_can_have_is_malformed() -> None:
    terms = (CostTerm(path="a", usd_per_unit=1e300), CostTerm(path="b"))

    with pytest.raises(PermanentError, match="reports a cost of inf USD"):
        read({"a": 1e300, "b": 1}, ResponseRule(cost=terms))


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({"error": "out of paper"}, ResponseRule(error="error")),
        ({"success": False, "error": "out of paper"}, ResponseRule(success_when="body.success")),
        ({"error": {"message": "out of paper"}}, ResponseRule(success_when="status == `200` && !body.error")),
    ],
)
def test_an_error_that_the_body_tells_is_an_error(body: Any, rule: ResponseRule) -> None:
    with pytest.raises(PermanentError, match="HTTP 200, but the answer is an error: out of paper"):
        read(body, rule)


def test_an_absent_error_and_a_true_condition_are_no_error() -> None:
    rule = ResponseRule(error="error", success_when="body.success && status < `300`", result="x")

    assert read({"success": True, "error": None, "x": 1}, rule).result == 1


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", Finish.STOP),
        ("MAX_TOKENS", Finish.LENGTH),
        ("SAFETY", Finish.REFUSAL),
        ("paused", Finish.OTHER),
        (None, Finish.OTHER),
    ],
)
def test_finish_is_read_in_any_vendors_words(reason: str | None, expected: Finish) -> None:
    assert read({"why": reason}, ResponseRule(finish="why")).finish is expected


def test_a_path_that_cannot_be_applied_fails_the_call_and_not_the_program() -> None:
    with pytest.raises(ConvergenceError, match="cannot be applied"):
        read({"n": "text"}, ResponseRule(result="abs(n)"))
