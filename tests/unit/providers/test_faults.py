"""What refusals mean."""

from typing import Any

import pytest

from convergence_cluster.domain.errors import ConvergenceError, InfeasibleError, PermanentError, TransientError
from convergence_cluster.providers.faults import fault, message_of, named_parameter

CONFIGURATION = {"model": "m-large", "temperature": 1.7, "effort": "xhigh", "max_tokens": 64}


def fault_of(status: int, body: Any, text: str = "") -> ConvergenceError:
    return fault(
        status=status, headers={}, body=body, text=text, where="POST h/p", configuration=CONFIGURATION, now_s=0.0
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"error": {"message": "No."}}, "No."),
        ({"error": "No."}, "No."),
        ({"success": False, "error": "No.", "code": "X"}, "No."),
        ({"object": "error", "message": "No."}, "No."),
        ([{"error": {"message": "No."}}], "No."),
        ({"detail": "No."}, "No."),
        ({"detail": [{"loc": ["body", "n"], "msg": "No."}]}, "body.n: No."),
        ({"error": {"type": "rate-limit-exceeded"}}, "rate-limit-exceeded"),
        ({"unrelated": 1}, ""),
        (None, ""),
    ],
)
def test_the_sentence_is_found_in_every_envelope(body: Any, expected: str) -> None:
    assert message_of(body) == expected


@pytest.mark.parametrize(
    ("body", "message", "expected"),
    [
        ({"error": {"param": "temperature"}}, "", "temperature"),
        ({"error": {"param": "generation_config.temperature"}}, "", "temperature"),
        ({"error": {"param": "reasoning.effort"}}, "", "effort"),
        ({"error": {"param": "messages[0].content"}}, "temperature is fine", None),
        ({}, "This model does not support effort level 'xhigh'. Supported levels: high, low, max, medium.", "effort"),
        ({}, "`max_tokens` must be at most 32", "max_tokens"),
        ({}, "max_tokens_per_day reached", None),
        ({}, "The model is overloaded with input", None),
        ({}, "Unknown 'model': m-large", "model"),
    ],
)
def test_the_parameter_at_fault_is_found(body: Any, message: str, expected: str | None) -> None:
    assert named_parameter(body, message, CONFIGURATION) == expected


def test_the_message_names_parameter_and_value() -> None:
    assert "(parameter 'temperature' = 1.7)" in str(fault_of(400, {"error": {"message": "no", "param": "temperature"}}))


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Project does not have access to it", "code": "model_not_found"}},
        {"type": "error", "error": {"type": "not_found_error", "message": "model: m-large"}},
        {"error": {"message": "You have no permission for 'm-large'."}},
    ],
)
def test_a_model_that_is_not_there_for_us_is_out_and_stops_nothing(status: int, body: Any) -> None:
    caught = fault_of(status, body)

    assert isinstance(caught, InfeasibleError)
    assert "(parameter 'model' = 'm-large')" in str(caught)


@pytest.mark.parametrize("message", ["m-large-2 does not exist", "not here"])
def test_another_models_absence_is_not_blamed_on_this_one(message: str) -> None:
    assert type(fault_of(404, {"error": message})) is PermanentError


def test_geminis_minute_quota_is_waited_for_and_its_daily_one_is_parked() -> None:
    message = "You exceeded your current quota, please check your plan and billing details."

    def quota(name: str, *more: Any) -> Any:
        violation = {"quotaMetric": "generate_requests", "quotaId": name}
        details = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}, *more]
        return {"error": {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED", "details": details}}

    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"}
    by_minute = fault_of(429, quota("GenerateRequestsPerMinutePerProjectPerModel", delay))
    by_day = fault_of(429, quota("GenerateRequestsPerDayPerProjectPerModel"))

    assert isinstance(by_minute, TransientError)
    assert (by_minute.kind, by_minute.retry_after_s) == ("error", 31.0)
    assert isinstance(by_day, TransientError)
    assert by_day.kind == "parked"


@pytest.mark.parametrize(("status", "is_outage"), [(500, True), (503, True), (504, True), (429, False), (408, False)])
def test_an_api_that_fails_by_itself_is_told_from_one_that_is_busy(status: int, is_outage: bool) -> None:  # noqa: FBT001
    caught = fault_of(status, {"error": "not now"})

    assert isinstance(caught, TransientError)
    assert caught.is_outage is is_outage


def test_a_redirect_names_the_address_to_use_without_its_query() -> None:
    caught = fault(
        status=308,
        headers={"location": "https://eu.example.com/v1?key=1"},
        body=None,
        text="",
        where="POST h/p",
        configuration={},
        now_s=0.0,
    )

    assert str(caught) == "POST h/p: HTTP 308: redirects to https://eu.example.com/v1; put that address into `endpoint`"


def test_a_long_message_is_cut() -> None:
    caught = fault_of(418, None, text="a" * 10_000)

    assert type(caught) is PermanentError
    assert len(str(caught)) < 400


@pytest.mark.parametrize(("wait_s", "words"), [("600", "in 10 min"), ("7199", "in 120 min"), ("86400", "in 24 h")])
def test_a_refusal_that_is_too_long_to_wait_for_says_when_to_try_again(wait_s: str, words: str) -> None:
    found = fault(
        status=429,
        headers={"retry-after": wait_s},
        body={"error": "quota"},
        text="",
        where="POST x",
        configuration={},
        now_s=0.0,
    )

    assert str(found) == f"POST x: HTTP 429: quota; try again {words}"
