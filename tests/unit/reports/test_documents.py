"""Every file of a study's results, parsed back."""

import csv
import io
import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import Json
from convergence_cluster.domain.search import Interval
from convergence_cluster.reports.documents import documents
from convergence_cluster.reports.records import StudyReport, Visualization
from tests.unit.reports.example_study import empty_report, make_report, reconfigured, without_prices

ALL = [
    "best_config.json",
    "detailed_results.csv",
    "detailed_results.json",
    "experiments.csv",
    "report.html",
    "report.md",
]


def rows(report: StudyReport, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(documents(report)[name].decode(), newline="")))


def parsed(report: StudyReport, name: str) -> Json:
    def refuse(constant: str) -> Json:
        raise AssertionError(constant)

    return json.loads(documents(report)[name], parse_constant=refuse)


@pytest.mark.parametrize(
    ("formats", "names"),
    [
        (("json",), ["best_config.json", "detailed_results.json"]),
        (("csv",), ["best_config.json", "detailed_results.csv", "experiments.csv"]),
        (("markdown",), ["best_config.json", "report.md"]),
        ((), ["best_config.json"]),
        (("json", "markdown", "csv", "html"), ALL),
    ],
)
def test_each_format_brings_its_files(formats: tuple[str, ...], names: list[str]) -> None:
    assert sorted(documents(make_report(n_arms=3), formats=formats)) == names


def test_named_visualizations_are_single_files_too() -> None:
    names = set(documents(make_report(), formats=(), visualizations=[Visualization.PARETO_FRONT]))

    assert names == {
        "best_config.json",
        "charts/pareto_front_quality_latency_ms.svg",
        "charts/pareto_front_quality_cost_usd.svg",
        "charts/pareto_front_latency_ms_cost_usd.svg",
    }


def test_the_best_configuration_has_the_predecessors_keys_and_how_sure_it_is() -> None:
    report = make_report()
    best = report.recommendation.best
    assert best is not None

    found = parsed(report, "best_config.json")

    assert found["config"] == best.configuration
    about = found["_README"]
    assert {
        "description",
        "how_to_use",
        "score_achieved",
        "score_scale",
        "timestamp",
        "optimization_run",
        "test_cases_evaluated",
    } <= set(about)
    assert about["score_achieved"] == best.score.mean
    assert about["score_interval"] == {"mean": best.score.mean, "low": best.score.low, "high": best.score.high}
    assert about["p_best"] == best.p_best
    assert len(about["tied"]) == 2
    assert about["timestamp"] == "2026-11-18T11:08:15Z"


def test_experiments_have_the_predecessors_columns_first() -> None:
    report = make_report()

    found = rows(report, "experiments.csv")

    assert list(found[0])[:6] == ["generation", "score", "model", "temperature", "max_tokens", "system_prompt"]
    assert [float(row["score"]) for row in found] == [arm.score.mean for arm in report.arms]
    assert [row["arm"] for row in found if row["recommended"] == "True"] == ["1"]
    assert [row["arm"] for row in found if row["tied"] == "True"] == ["2", "3"]


def test_detailed_rows_are_the_calls_and_only_ok_ones_have_a_score() -> None:
    report = make_report()

    found = rows(report, "detailed_results.csv")

    header = list(found[0])
    assert header[:2] == ["generation", "test_case_id"]
    assert header[6:10] == ["score", "latency_ms", "cost_usd", "success"]
    assert len(found) == len(report.calls)
    assert {row["score"] == "" for row in found if row["success"] == "False"} == {True}
    assert {float(row["score"]) > 0 for row in found if row["success"] == "True"} == {True}
    assert found[0]["test_case_id"] == "case-000"


def test_detailed_json_has_one_entry_per_configuration_with_its_calls() -> None:
    report = make_report()

    found = parsed(report, "detailed_results.json")

    assert len(found) == len(report.arms)
    assert sum(len(entry["test_results"]) for entry in found) == len(report.calls)
    entry, result = found[0], found[0]["test_results"][0]
    assert {"config", "score", "metrics", "generation", "timestamp", "test_results"} <= set(entry)
    assert {"test_case_id", "input", "response_text", "response", "score", "metrics", "latency_ms", "cost_usd"} <= set(
        result
    )
    assert result["response_text"] == "The answer of arm 0 to question 0."
    assert result["input"] == {"prompt": "Question 0?"}


def test_answers_stay_out_where_the_study_says_so() -> None:
    found = documents(replace(make_report(), answers_allowed=False))

    assert [name for name, content in found.items() if b"The answer of arm" in content] == []


def test_an_unknown_price_is_unknown_everywhere_and_never_zero() -> None:
    report = without_prices(make_report())

    assert {row["cost_usd"] for row in rows(report, "experiments.csv")} == {""}
    assert {row["cost_usd"] for row in rows(report, "detailed_results.csv")} == {""}
    assert {r["cost_usd"] for e in parsed(report, "detailed_results.json") for r in e["test_results"]} == {None}
    about = parsed(report, "best_config.json")["_README"]
    assert about["spent_usd"] is None
    assert about["metrics"]["cost_usd"] == {"best": None, "baseline": None, "change": None}
    texts = documents(report)
    assert b"$0" not in texts["report.md"]
    assert b"$0" not in texts["report.html"]
    assert "cost\\_usd | unknown" in texts["report.md"].decode()


@pytest.mark.parametrize("report", [empty_report(), make_report(n_arms=1), make_report(n_arms=2, n_cases=1)])
def test_small_studies_have_every_file(report: StudyReport) -> None:
    assert sorted(documents(report)) == ALL
    assert parsed(report, "detailed_results.json") is not None


def test_a_study_without_an_answer_says_so() -> None:
    report = empty_report()

    document = parsed(report, "best_config.json")
    assert document["config"] is None
    assert document["_README"]["description"] == (
        "The study 'empty' found no configuration to recommend: none has a score (no configuration could be run)."
    )
    assert document["_README"]["how_to_use"].startswith("There is nothing to use")
    assert "no answer" in documents(report)["report.md"].decode()
    assert "no answer" in documents(report)["report.html"].decode()
    assert rows(report, "experiments.csv") == []


def test_arms_that_never_scored_have_no_score() -> None:
    report = make_report(n_arms=3)
    nan = float("nan")
    silent = replace(report.arms[2], n_calls=0, score=Interval(mean=nan, low=nan, high=nan))
    report = replace(
        report,
        arms=(*report.arms[:2], silent),
        calls=tuple(call for call in report.calls if call.outcome.call.arm != 2),
    )

    assert rows(report, "experiments.csv")[2]["score"] == ""
    entry = parsed(report, "detailed_results.json")[2]
    assert (entry["score"], entry["error"], entry["test_results"]) == (None, "never called", [])


def test_arms_that_only_failed_have_a_reason_and_no_score() -> None:
    report = make_report(n_arms=3)
    failed = tuple(
        replace(
            c, score=None, outcome=replace(c.outcome, kind=OutcomeKind.INFEASIBLE, metrics={}, error="no such model")
        )
        if c.outcome.call.arm == 2
        else c
        for c in report.calls
    )
    report = replace(report, calls=failed)

    row, entry = rows(report, "experiments.csv")[2], parsed(report, "detailed_results.json")[2]

    assert (row["score"], row["score_low"], row["error"]) == ("", "", "no such model")
    assert (entry["score"], entry["error"], entry["metrics"]) == (None, "no such model", {})
    assert "infeasible | " in documents(report)["report.md"].decode()


def test_all_tied_is_said_and_cut_in_the_page() -> None:
    report = make_report(n_arms=60)
    report = replace(report, recommendation=replace(report.recommendation, tied=report.arms[2:], p_within=0.2))

    texts = documents(report)

    assert "58 others cannot be told from it" in texts["report.md"].decode()
    assert "15 of 58 are shown" in texts["report.md"].decode()
    assert "25 of 58 configurations are shown" in texts["report.html"].decode()


def test_columns_that_share_a_name_are_told_apart() -> None:
    report = reconfigured(make_report(n_arms=3), {"score": "param", "quality": 3, "generation": 9})

    header = documents(report)["experiments.csv"].decode().splitlines()[0].split(",")

    assert len(header) == len(set(header))
    assert {"score", "parameter.score", "parameter.generation", "quality", "metric.quality"} <= set(header)


def test_formulas_in_any_column_are_quoted() -> None:
    payload = '=HYPERLINK("http://e.example")'
    report = reconfigured(make_report(n_arms=3), {"system_prompt": payload, "@x": "+1+1"})

    for name in ("experiments.csv", "detailed_results.csv"):
        header, *found = csv.reader(io.StringIO(documents(report)[name].decode(), newline=""))
        assert "'@x" in header
        cells = [cell for row in found for cell in row]
        assert f"'{payload}" in cells
        assert [cell for cell in cells if cell.startswith(("=", "+", "@"))] == []


def test_text_that_utf_8_cannot_hold_does_not_stop_the_files() -> None:
    report = reconfigured(make_report(n_arms=3), {"system_prompt": "cut \udc00 here", "nan": float("nan")})

    assert parsed(report, "best_config.json")["config"]["system_prompt"] == "cut \udc00 here"
    assert parsed(report, "best_config.json")["config"]["nan"] is None


def copying_s(texts: Mapping[str, bytes]) -> float:
    """Return the CPU time in which the standard library reads and writes the two largest files: this machine's pace."""
    began_s = time.process_time()
    json.dumps(json.loads(texts["detailed_results.json"]))
    rows = csv.reader(io.StringIO(texts["detailed_results.csv"].decode(), newline=""))
    csv.writer(io.StringIO(newline="")).writerows(list(rows))
    return time.process_time() - began_s


def written(report: StudyReport) -> tuple[float, Mapping[str, bytes]]:
    """Return the CPU time that writing a report took, and its files."""
    began_s = time.process_time()
    texts = documents(report, visualizations=list(Visualization))
    return time.process_time() - began_s, texts


def test_five_thousand_arms_are_written_in_three_times_what_copying_takes_and_the_page_stays_light() -> None:
    few, many = (make_report(n_arms=n, n_cases=40, calls_per_arm=8) for n in (500, 5000))
    few_s, many_s, copied_s = list[float](), list[float](), list[float]()
    for _ in range(2):  # in turns: the pace of a machine changes while it is shared
        few_s += [written(few)[0] for _ in range(3)]
        seconds, texts = written(many)
        many_s.append(seconds)
        copied_s.append(copying_s(texts))

    assert len(many.calls) > 40_000
    assert min(many_s) < 3 * min(copied_s)
    assert min(many_s) < 10 * min(few_s)
    assert len(texts["report.html"]) < 5_000_000
    assert "300 of 5,000 configurations are shown" in texts["report.html"].decode()
    assert len(texts["experiments.csv"].splitlines()) >= 5001


def test_the_front_keeps_its_order_and_says_which_that_is() -> None:
    report = make_report()
    report = replace(report, recommendation=replace(report.recommendation, front=tuple(reversed(report.arms[1:6]))))

    texts = {name: documents(report)[name].decode() for name in ("report.md", "report.html")}

    words = "o other configuration beats these in every metric; those that cover most of it first"
    assert all(words in text for text in texts.values())
    listed = texts["report.md"].split("## Pareto front")[1].split("## ")[0]
    assert re.findall(r"^\| (\d+) \|", listed, re.MULTILINE) == ["5", "4", "3", "2", "1"]
    table = texts["report.html"].split("Pareto front over all metrics")[2].split("</table>")[0]
    assert re.findall(r">#(\d+)</th>", table) == ["5", "4", "3", "2", "1"]


def test_one_metric_alone_has_no_front_to_choose_from() -> None:
    report = replace(make_report(), metrics=make_report().metrics[:1])

    assert not [name for name, content in documents(report).items() if b"Pareto front" in content]
