"""The last words of a command that ran a study."""

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from convergence_cluster.bootstrap.housekeeping import Progress
from convergence_cluster.bootstrap.sitting import Sitting
from convergence_cluster.commands.running import NO_ANSWER, show
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.search import StopReason
from convergence_cluster.reports.records import Caps, Spend, StudyReport
from convergence_cluster.spec.loading import loads
from tests.unit.reports.example_study import make_report

STUDY = """\
api: {name: x, endpoint: "https://example.com/v1"}
search_space: {parameters: {a: [1, 2]}}
evaluation: {metrics: {success_rate: 1}, test_cases: [{q: 1}]}
"""


def shown(report: StudyReport, folder: Path) -> int:
    def sit(*, listener: Callable[[Progress], None]) -> Sitting:
        del listener
        return Sitting(study=loads(STUDY), report=report, last_error="HTTP 500", is_resumed=False)

    return show(argparse.Namespace(json=False, quiet=True, output=folder, fail_if=[]), sit)


@pytest.mark.parametrize(
    ("spend", "advice"),
    [
        (Spend(usd=0.2, n_calls=199, seconds=50.0), "mend it, then"),
        (Spend(usd=0.2, n_calls=200, seconds=50.0), "mend it and raise budget.calls in the study file, then"),
        (
            Spend(usd=0.7, cached_usd=0.3, n_calls=9, seconds=60.0),
            "mend it and raise budget.usd and budget.minutes in the study file, then",
        ),
    ],
)
def test_a_study_that_its_api_stopped_says_what_it_takes_to_go_on(tmp_path: Path, spend: Spend, advice: str) -> None:
    caps = Caps(usd=1.0, calls=200, minutes=1.0)
    report = replace(make_report(n_arms=2), stop_reason=StopReason.PROVIDER, spend=spend, caps=caps)

    with pytest.raises(ConvergenceError) as caught:
        shown(report, tmp_path)

    assert str(caught.value).splitlines() == [
        "the API refuses every further call: HTTP 500",
        f"What is finished is kept; {advice}: convergence resume {report.study}",
    ]


def test_a_study_whose_budget_an_outage_took_says_what_to_raise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full = make_report(n_arms=2)
    nothing = replace(full.recommendation, best=None, baseline=None, change=None, tied=(), front=())
    report = replace(full, stop_reason=StopReason.BUDGET_CALLS, recommendation=nothing, calls=(), arms=())

    code = shown(report, tmp_path)

    assert code == NO_ANSWER
    raised = f"raise budget.calls in the study file, then: convergence resume {report.study}"
    assert capsys.readouterr().err == f"no call has ended; {raised}\n"
