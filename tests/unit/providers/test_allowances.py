"""What providers' headers say they still allow."""

import pytest

from convergence_cluster.domain.calls import Allowance
from convergence_cluster.providers.allowances import allowance_of

NOW_S = 1_767_225_600.0  # 2026-01-01T00:00:00Z


def openai(**changes: str) -> dict[str, str]:
    """Return the headers of 600 requests and 50,000 tokens a minute, of which nothing is used."""
    headers = {
        "x-ratelimit-limit-requests": "600",
        "x-ratelimit-remaining-requests": "599",
        "x-ratelimit-reset-requests": "100ms",
        "x-ratelimit-limit-tokens": "50000",
        "x-ratelimit-remaining-tokens": "49900",
        "x-ratelimit-reset-tokens": "120ms",
    }
    return headers | {f"x-ratelimit-{name.replace('_', '-')}": value for name, value in changes.items()}


def told(headers: dict[str, str]) -> tuple[float, float, float]:
    """Return for how long there is no room, and what is allowed a minute; 0: it does not say."""
    allowed = allowance_of(headers, NOW_S) or Allowance()
    return allowed.hold_s, allowed.rpm or 0.0, allowed.tpm or 0.0


def test_where_there_is_room_nothing_matters() -> None:
    assert allowance_of(openai(), NOW_S) is None
    assert allowance_of({}, NOW_S) is None


def test_a_bucket_that_is_empty_holds_for_as_long_as_one_more_call_needs() -> None:
    headers = openai(remaining_requests="0", reset_requests="1m0s")

    assert told(headers) == pytest.approx((0.1, 600.0, 0.0))


def test_a_bucket_with_few_tokens_names_its_pace() -> None:
    headers = openai(remaining_tokens="40", reset_tokens="59.952s")

    assert told(headers) == pytest.approx((0.0, 0.0, 50_000.0))


def test_a_bucket_that_runs_low_names_its_pace() -> None:
    headers = openai(remaining_requests="60", reset_requests="54s")

    assert told(headers) == pytest.approx((0.0, 600.0, 0.0))


def test_a_day_of_requests_is_a_pace_as_well() -> None:
    """Groq counts requests by the day and tokens by the minute."""
    headers = {
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "24h0m0s",
    }

    assert told(headers) == pytest.approx((6.0, 10.0, 0.0))


def test_anthropics_dates_are_times_to_a_full_bucket() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-01-01T00:01:00Z",
        "anthropic-ratelimit-input-tokens-limit": "50000",
        "anthropic-ratelimit-input-tokens-remaining": "5000",
        "anthropic-ratelimit-input-tokens-reset": "2026-01-01T00:00:54Z",
    }

    assert told(headers) == pytest.approx((1.2, 50.0, 50_000.0))


@pytest.mark.parametrize(
    ("headers", "hold_s"),
    [
        ({"x-ratelimit-limit": "10", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "17"}, 17.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1767225603"}, 3.0),
        ({"ratelimit-limit": "10", "ratelimit-remaining": "0", "ratelimit-reset": "5"}, 5.0),
        ({"ratelimit": '"api";r=0;t=9'}, 9.0),
        ({"ratelimit": '"hour";r=12;t=999, "minute";r=0;t=9'}, 9.0),
    ],
)
def test_a_window_that_is_used_up_holds_to_its_end(headers: dict[str, str], hold_s: float) -> None:
    assert told(headers) == pytest.approx((hold_s, 0.0, 0.0))


@pytest.mark.parametrize(
    "headers",
    [
        {"ratelimit": '"api";r=3;t=9'},
        {"x-ratelimit-limit": "10", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "17"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "3600"},
        openai(limit_tokens="-1", remaining_tokens="-1", reset_tokens="0"),
        openai(remaining_requests="0", reset_requests="soon"),
        openai(remaining_requests="none"),
    ],
)
def test_what_says_nothing_usable_holds_nobody(headers: dict[str, str]) -> None:
    assert allowance_of(headers, NOW_S) is None
