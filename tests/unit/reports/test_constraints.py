"""Answers that break a constraint."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from convergence_cluster.commands.running import answer_facts
from convergence_cluster.domain.search import Interval
from convergence_cluster.reports.comparison import compare, comparison_json, comparison_lines
from convergence_cluster.reports.constraints import breach_words, breaches
from convergence_cluster.reports.documents import documents
from convergence_cluster.reports.findings import headline, how_sure, score_change
from convergence_cluster.reports.scatter import pareto_fronts
from convergence_cluster.reports.summary import last_lines
from tests.unit.reports.example_study import empty_report, make_report, over_budget

WORDS = "cost_usd is $0.00125, at most $0.000800 allowed"


def test_an_answer_that_keeps_its_constraints_says_nothing_of_them() -> None:
    lines = last_lines(make_report())

    assert breach_words(make_report()) is None
    assert lines[0] == "✅ Optimization complete: sure enough of the answer"
    assert "onstraint" not in "".join(lines)


def test_the_first_line_warns_and_the_bound_is_named() -> None:
    lines = last_lines(over_budget(make_report()))

    assert lines[0] == "⚠️ Optimization complete: sure enough of the answer; THE ANSWER BREAKS A CONSTRAINT"
    assert any(f"NOT KEPT, by this or any other configuration so far: {WORDS}" in line for line in lines)
    assert headline(replace(over_budget(make_report()), stop_reason=None)).endswith("THE ANSWER BREAKS A CONSTRAINT")


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_every_report_warns(name: str) -> None:
    text = documents(over_budget(make_report()))[name].decode()

    assert "THE ANSWER BREAKS A CONSTRAINT" in text
    assert "NOT KEPT" in text


def test_lists_mark_what_breaks_a_constraint() -> None:
    report = over_budget(make_report())
    arms = tuple(replace(arm, is_feasible=arm.arm != 4) for arm in report.arms)
    report = replace(report, arms=arms, recommendation=replace(report.recommendation, front=arms[3:5]))

    texts = documents(report)

    assert texts["report.md"].decode().count("(breaks a constraint)") == 1
    assert texts["report.html"].decode().count("(breaks a constraint)") == 2


def test_a_baseline_that_breaks_a_constraint_is_no_reason_to_prefer_it() -> None:
    report = make_report()
    answer = report.recommendation
    assert answer.baseline is not None
    broken = replace(answer.baseline, is_feasible=False)
    report = replace(report, recommendation=replace(answer, baseline=broken))

    assert score_change(report).endswith(f"vs baseline {broken.score.mean:.3f}, which breaks a constraint")
    assert "the baseline breaks a constraint" in documents(report)["report.html"].decode()


def test_a_chart_without_a_front_says_why() -> None:
    report = make_report()
    report = replace(report, arms=tuple(replace(arm, is_feasible=False) for arm in report.arms))

    assert all("none of which keeps the constraints" in chart.description for chart in pareto_fronts(report))


def test_the_page_warns_above_everything_else() -> None:
    page = documents(over_budget(make_report()))["report.html"].decode()

    assert re.search(r"</h1><p>[^<]*</p><p class=\"alarm\">Constraints NOT KEPT[^<]*</p></header>", page)
    assert 'class="alarm"' not in documents(make_report())["report.html"].decode()


def test_programs_are_told() -> None:
    report = over_budget(make_report())
    expected = [{"metric": "cost_usd", "mean": 0.00125, "max": 0.0008, "excess": pytest.approx(0.00045)}]

    about = json.loads(documents(report)["best_config.json"])["_README"]
    answer = answer_facts(report, [Path("x")])

    assert (about["is_feasible"], about["constraints_broken"]) == (False, expected)
    assert about["how_to_use"].startswith(f"Do not deploy `config`: it breaks a constraint ({WORDS})")
    assert (answer["is_feasible"], answer["constraints_broken"]) == (False, expected)
    assert answer_facts(make_report(), [])["is_feasible"] is True
    assert answer_facts(empty_report(), [])["is_feasible"] is None


def test_a_comparison_warns_of_it() -> None:
    found = compare(make_report(), over_budget(make_report()))

    assert f"Careful: the answer of study B breaks its constraints: {WORDS}" in comparison_lines(found)
    assert comparison_json(found)["breaches"] == [f"the answer of study B breaks its constraints: {WORDS}"]
    assert comparison_json(found)["comparable"] is True


def test_how_sure_it_is_counts_only_what_keeps_the_constraints() -> None:
    report = make_report()
    dear = tuple(replace(arm, is_feasible=arm.arm < 30) for arm in report.arms)

    words = how_sure(replace(report, arms=dear))

    assert (
        "within 1 % of the best of those that may keep the constraints, as 30 of 40 configurations tried do;" in words
    )
    assert how_sure(over_budget(report)) == "no configuration tried keeps the constraints; this one breaks them least"


def test_a_mean_below_its_least_is_a_breach_too() -> None:
    report = over_budget(make_report())
    report = replace(report, metrics=(replace(report.metrics[0], low=0.99), *report.metrics[1:]))

    first, _ = breaches(report, report.recommendation.best)

    assert first.words.endswith("at least 0.990 allowed")


def test_a_mean_that_reads_like_its_bound_is_still_told_apart() -> None:
    report = over_budget(make_report())
    best = report.recommendation.best
    assert best is not None
    near = Interval(mean=0.0008000001, low=0.0008, high=0.0009)
    report = replace(
        report,
        recommendation=replace(report.recommendation, best=replace(best, objectives=(*best.objectives[:2], near))),
    )

    assert breach_words(report) == "cost_usd is $0.000800 and a little more, at most $0.000800 allowed"
