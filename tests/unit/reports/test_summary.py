"""The last lines."""

from dataclasses import replace

from convergence_cluster.domain.search import Interval, StopReason
from convergence_cluster.reports.records import Caps, Spend, StudyReport
from convergence_cluster.reports.summary import last_lines
from tests.unit.reports.example_study import empty_report, make_report, reconfigured, without_prices


def line(report: StudyReport, label: str) -> str:
    found = [text for text in last_lines(report, saved_to="./results/x") if text.strip().startswith(f"{label}:")]
    assert len(found) == 1, found
    return found[0].split(":", 1)[1].strip()


def test_the_answer_comes_with_its_score_change_cost_certainty_and_place() -> None:
    report = make_report()
    answer = report.recommendation
    assert answer.best is not None
    assert answer.baseline is not None
    assert answer.change is not None
    relative = 100 * answer.change.mean / answer.baseline.score.mean

    assert line(report, "Best config").startswith("model=gpt-4.1-mini, temperature=0.3")
    assert line(report, "Score").startswith(f"{answer.best.score.mean:.3f} (")
    assert f"; up {relative:.0f} % (+{answer.change.mean:.3f}, " in line(report, "Score")
    assert line(report, "Cost").startswith("$0.002")
    assert "per call; down 7" in line(report, "Cost")
    assert "per call; down 5" in line(report, "Latency")
    assert line(report, "How sure") == (
        "96 % sure that it is within 1 % of the best of 40 configurations tried; 2 others cannot be told from it"
    )
    assert line(report, "Next") == "100 more calls would raise the score by about 0.002"
    assert line(report, "Started from") == "2 elites of 3 earlier studies of this API."
    assert line(report, "Results in") == "./results/x"


def test_where_nothing_is_left_to_call_no_more_calls_are_advised() -> None:
    report = replace(make_report(), stop_reason=StopReason.EXHAUSTED)

    assert line(report, "Next").startswith("no call is left; more test cases")


def test_spending_stands_beside_its_caps() -> None:
    report = replace(make_report(), spend=Spend(usd=0.42, n_calls=312, seconds=72.0), caps=Caps(usd=5.0, calls=2000))

    assert line(report, "Spent") == "$0.42 of $5.00, 312 calls of 2,000, 1 min 12 s"


def test_calls_of_the_budget_that_were_retries_are_told() -> None:
    report = replace(make_report(), spend=Spend(usd=0.42, n_calls=312, n_retries=1012), caps=Caps(calls=2000))

    assert line(report, "Spent") == "$0.42, 312 calls of 2,000 (1,012 of them retries), 0 s"


def test_a_baseline_that_only_failed_is_not_called_missing() -> None:
    report = make_report()
    alone = replace(report.recommendation, baseline=None, change=None)
    never = replace(report, calls=tuple(call for call in report.calls if call.outcome.call.arm != 0))

    assert line(replace(report, recommendation=alone), "Score").endswith(
        "no call of the baseline has a score to compare with"
    )
    assert line(replace(never, recommendation=alone), "Score").endswith("; no baseline to compare with")


def test_money_that_a_crash_hid_and_calls_without_a_price_are_told() -> None:
    spend = Spend(usd=0.42, n_calls=312, seconds=72.0, n_unpriced_calls=3, unknown_usd=0.02)

    words = line(replace(make_report(), spend=spend), "Spent")

    assert "3 calls of unknown price not included" in words
    assert "$0.02 of it is the most that calls lost in a crash can have cost" in words


def test_a_change_that_may_be_none_is_not_sold_as_one() -> None:
    report = make_report()
    small = replace(report.recommendation, change=Interval(mean=0.004, low=-0.01, high=0.018))

    words = line(replace(report, recommendation=small), "Score")

    assert "not distinguishable (+0.004, -0.010 to +0.018)" in words
    assert "%" not in words


def test_an_unknown_price_is_said_and_never_zero() -> None:
    report = without_prices(make_report())

    assert line(report, "Cost") == "unknown"
    assert line(report, "Spent").startswith("cost unknown (no price known)")
    assert "$0" not in "".join(last_lines(report))


def test_keeping_the_baseline_is_an_answer() -> None:
    report = make_report(n_arms=1)

    assert "it is the baseline" in line(report, "Score")
    assert "vs baseline" not in line(report, "Cost")


def test_no_answer_is_said_first() -> None:
    lines = last_lines(empty_report())

    assert lines[0] == "❌ No answer: no configuration has a score (no configuration could be run)"


def test_an_interrupted_study_says_how_to_go_on() -> None:
    lines = last_lines(replace(make_report(), stop_reason=None))

    assert "Interrupted" in lines[0]
    assert "convergence resume" in lines[0]


def test_ties_are_told_by_what_differs() -> None:
    tied = [text for text in last_lines(make_report()) if text.strip().startswith("Tied:")]

    assert len(tied) == 2
    assert "temperature=0.4" in tied[0]


def test_every_line_is_plain() -> None:
    report = reconfigured(make_report(), {"model": "\x1b[2J[red]x\nnew line", "\x1b]0;t\x07": 1})

    lines = last_lines(report, saved_to="./x")

    assert all(text.isprintable() for text in lines)
    assert "[red]x new line" in lines[1]


def test_a_terminal_that_knows_only_ascii_gets_only_that() -> None:
    report = reconfigured(make_report(), {"model": "größe"})

    assert all(text.isascii() for text in last_lines(report, is_unicode=False))
