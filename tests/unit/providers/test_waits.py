"""Reading how long to wait."""

import pytest

from convergence_cluster.providers.waits import parse_wait_s, retry_after_s

NOW_S = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "expected_s"),
    [
        ("1", 1.0),
        ("0.25", 0.25),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("45.837906927s", 45.837906927),
        ("2d", 172_800.0),
        ("1800000030", 30.0),
        ("1800000030000", 30.0),
        ("2027-01-15T08:00:30Z", 30.0),
        ("2027-01-15T08:00:30+00:00", 30.0),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("-1", None),
        ("soon", None),
        ("", None),
        ("nan", None),
        ("5 apples", None),
    ],
)
def test_every_form_of_a_wait_is_read(text: str, expected_s: float | None) -> None:
    found = parse_wait_s(text, NOW_S)

    assert found == (None if expected_s is None else pytest.approx(expected_s))


def test_the_most_exact_wish_wins() -> None:
    headers = {"retry-after-ms": "250", "retry-after": "9", "x-ratelimit-reset-requests": "60s"}

    assert retry_after_s(headers, None, "", NOW_S) == 0.25
    del headers["retry-after-ms"]
    assert retry_after_s(headers, None, "", NOW_S) == 9.0
    del headers["retry-after"]
    assert retry_after_s(headers, None, "try again in 5.289s", NOW_S) == pytest.approx(5.289)
    assert retry_after_s(headers, None, "", NOW_S) == 60.0


def test_only_exhausted_windows_are_waited_for() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "99",
        "x-ratelimit-reset-requests": "120ms",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6m0s",
        "anthropic-ratelimit-output-tokens-remaining": "0",
        "anthropic-ratelimit-output-tokens-reset": "2027-01-15T08:01:00Z",
    }

    assert retry_after_s(headers, None, "", NOW_S) == 360.0


def test_negative_limits_mean_unknown() -> None:
    headers = {"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}

    assert retry_after_s(headers, None, "", NOW_S) is None


def test_the_ietf_form_is_read() -> None:
    assert retry_after_s({"ratelimit": '"api";r=0;t=295'}, None, "", NOW_S) == 295.0
    assert retry_after_s({"ratelimit": '"api";r=999;t=295'}, None, "", NOW_S) is None


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_googles_retry_info_is_read(is_wrapped: bool) -> None:  # noqa: FBT001
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "45.5s"}
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [detail]}}

    assert retry_after_s({}, [body] if is_wrapped else body, "", NOW_S) == 45.5
