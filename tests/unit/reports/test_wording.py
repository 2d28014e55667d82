"""Figures and foreign text for people."""

import math

import pytest

from convergence_cluster.domain.search import Interval
from convergence_cluster.reports.contrast import verdict
from convergence_cluster.reports.wording import (
    chance,
    configuration_text,
    duration,
    markdown,
    number,
    percent,
    printable,
    quantity,
    quantity_interval,
    usd,
)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "unknown"),
        (math.nan, "unknown"),
        (0.0, "$0.00"),
        (0.0021, "$0.00210"),
        (1234.5, "$1,234.50"),
        (2e-7, "$2.0e-07"),
        (0.001, "$0.00100"),
        (0.001 - 1e-12, "$0.00100"),
        (0.01 - 1e-12, "$0.01"),
        (1.0 - 1e-12, "$1.00"),
        (-0.0009999999, "-$0.00100"),
    ],
)
def test_money_that_is_unknown_is_never_zero(value: float | None, words: str) -> None:
    assert usd(value) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (1234567, "1,234,567"),
        (0.5, "0.5"),
        (1e-7, "1.00e-07"),
        (-12.345, "-12.3"),
        (9.9999, "10"),
        (2e9, "2.00e+09"),
    ],
)
def test_numbers_have_three_significant_digits(value: float, words: str) -> None:
    assert number(value) == words


@pytest.mark.parametrize(("value", "words"), [(1.0, "over 99 %"), (0.42, "42 %"), (0.0, "0 %")])
def test_a_chance_drawn_from_beliefs_is_never_certainty(value: float, words: str) -> None:
    assert chance(value) == words


@pytest.mark.parametrize(("value", "words"), [(0.999, "over 99 %"), (1.0, "100 %"), (0.001, "under 1 %"), (0, "0 %")])
def test_a_probability_is_never_rounded_to_certainty(value: float, words: str) -> None:
    assert percent(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (3.21, "3.2 s"), (59.7, "1 min 00 s"), (7500, "2 h 05 min")]
)
def test_durations_read_well(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_metric_has_its_unit_once() -> None:
    assert quantity_interval(Interval(mean=828.0, low=794.0, high=862.0), "ms") == "828 ms (794 to 862)"
    assert quantity(None, "ms") == "unknown"


def test_an_interval_that_reads_like_its_mean_is_left_out() -> None:
    assert quantity_interval(Interval(mean=0.005, low=0.005 - 1e-9, high=0.005 + 1e-9), "usd") == "$0.00500"
    assert quantity_interval(Interval(mean=0.005, low=0.0049, high=0.005), "usd") == "$0.00500 ($0.00490 to $0.00500)"


def test_no_difference_at_all_is_called_that() -> None:
    assert verdict(Interval(mean=0.0, low=0.0, high=0.0), 0.005, "usd") == "no difference"


def test_a_change_whose_interval_holds_zero_is_not_distinguishable() -> None:
    assert verdict(Interval(mean=0.01, low=-0.01, high=0.03), 0.5, decimals=3).startswith("not distinguishable (+0.010")


def test_a_change_is_told_in_percent_and_absolutely() -> None:
    change = Interval(mean=-0.2, low=-0.3, high=-0.1)

    assert verdict(change, 0.8, decimals=2) == "down 25 % (-0.20, -0.30 to -0.10)"
    assert verdict(change, 0.0, decimals=2) == "down (-0.20, -0.30 to -0.10)"
    assert verdict(Interval(mean=-0.2, low=-0.2, high=-0.2), 0.8, decimals=2) == "down 25 % (-0.20)"


def test_one_common_case_is_too_few_to_say() -> None:
    assert "too few" in verdict(Interval(mean=0.1, low=-math.inf, high=math.inf), 0.5)


def test_a_terminal_gets_no_control_characters() -> None:
    assert printable("a\x1b[31mb\r\nc\u202ed\x9b2J") == "a [31mb c d 2J"


def test_a_configuration_is_one_short_line() -> None:
    assert configuration_text({"p": "x\n" * 100, "t": 0.7}, limit=10) == "p=x x x x x…, t=0.7"


@pytest.mark.parametrize(
    "payload", ["<img src=x onerror=alert(1)>", "[a](javascript:x)", "a|b", "`x`", "![x](//e.x)", "&lt;"]
)
def test_markdown_shows_foreign_text_as_it_is(payload: str) -> None:
    shown = markdown(payload)

    assert "<" not in shown
    assert all(shown[i - 1] == "\\" for i, sign in enumerate(shown) if sign in "`[]|*_!")
