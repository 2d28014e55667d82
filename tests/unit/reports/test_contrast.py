"""The recommended configuration beside the baseline and its rivals."""

import math
from dataclasses import replace

import numpy as np
import pytest

from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import ArmEstimate, Direction, Interval
from convergence_cluster.reports.contrast import contrasts, difference_text, verdict
from convergence_cluster.reports.losses import losses, rivals
from convergence_cluster.reports.records import StudyReport
from convergence_cluster.reports.scatter import front_of
from convergence_cluster.reports.tally import tally
from tests.unit.reports.example_study import empty_report, make_report


def raw(report: StudyReport, arm: int, name: str) -> dict[int, float]:
    return {c.outcome.call.case: c.outcome.metrics[name] for c in report.calls if c.outcome.call.arm == arm}


def test_changes_are_paired_by_case() -> None:
    report = make_report()
    ours, theirs = raw(report, 1, "latency_ms"), raw(report, 0, "latency_ms")
    differences = [ours[case] - theirs[case] for case in ours]

    found = {c.name: c for c in contrasts(report, tally(report))}["latency_ms"]

    assert found.change is not None
    assert found.change.mean == pytest.approx(np.mean(differences))
    assert found.change.high - found.change.mean == pytest.approx(
        1.7139 * np.std(differences, ddof=1) / len(differences) ** 0.5, rel=1e-3
    )
    assert (found.n_common, found.is_better) == (24, True)


def test_cases_count_by_their_weight() -> None:
    report = make_report()
    weighted = replace(report, cases=(replace(report.cases[0], weight=1e6), *report.cases[1:]))
    ours, theirs = raw(report, 1, "quality"), raw(report, 0, "quality")

    found = contrasts(weighted, tally(weighted))[0]

    assert found.change is not None
    assert found.change.mean == pytest.approx(ours[0] - theirs[0], abs=1e-3)


def test_values_that_differ_by_the_error_of_arithmetic_are_equal() -> None:
    report = make_report()
    costs = {0: 0.1 + 0.2, 1: 0.3}
    calls = tuple(
        replace(c, outcome=replace(c.outcome, metrics={**c.outcome.metrics, "cost_usd": costs[c.outcome.call.arm]}))
        for c in report.calls
        if c.outcome.call.arm in costs
    )
    report = replace(report, calls=calls)

    change = contrasts(report, tally(report))[2].change

    assert change is not None
    assert (change.mean, change.low, change.high) == (0.0, 0.0, 0.0)


def test_only_common_cases_count() -> None:
    report = make_report()
    report = replace(report, calls=tuple(c for c in report.calls if c.outcome.call.arm != 0 or c.outcome.call.case < 3))

    found = contrasts(report, tally(report))[0]

    assert found.n_common == 3


def test_the_baseline_is_not_compared_with_itself() -> None:
    report = make_report(n_arms=1)

    assert [c.baseline for c in contrasts(report, tally(report))] == [None, None, None]


def test_cost_and_latency_are_told_even_where_no_metric_asks_for_them() -> None:
    report = make_report()
    report = replace(report, metrics=report.metrics[:1])

    assert [c.name for c in contrasts(report, tally(report))] == ["quality", "cost_usd", "latency_ms"]


def test_losses_are_the_cases_where_a_rival_scored_higher() -> None:
    report = make_report()
    scores = {(c.outcome.call.arm, c.outcome.call.case): c.score for c in report.calls if c.score is not None}
    names = {arm.arm for arm in rivals(report)}
    expected = {
        case
        for (arm, case), score in scores.items()
        if arm in names and (ArmId(1), case) in scores and score > scores[ArmId(1), case]
    }

    found = losses(report, tally(report))

    assert {loss.case for loss in found} == expected
    assert expected
    gaps = [loss.rival_score - loss.score for loss in found]
    assert gaps == sorted(gaps, reverse=True)
    assert all(loss.answer == f"The answer of arm 1 to question {loss.case}." for loss in found)


def test_rivals_are_few_whatever_the_number_of_ties() -> None:
    report = make_report(n_arms=60)
    report = replace(report, recommendation=replace(report.recommendation, tied=report.arms[2:]))

    found = rivals(report)

    assert [found[0].arm, len(found)] == [0, 10]


def test_a_study_without_an_answer_loses_nothing() -> None:
    report = empty_report()

    assert (losses(report, tally(report)), contrasts(report, tally(report))) == ((), ())


def test_no_interval_holds_what_a_metric_cannot_be() -> None:
    report = make_report()
    values = {(1, 0): (0.2, 5.0), (1, 1): (1.0, 300.0), (0, 0): (0.0, 6.0), (0, 1): (0.1, 400.0)}
    calls = tuple(
        replace(c, outcome=replace(c.outcome, metrics={"quality": values[key][0], "latency_ms": values[key][1]}))
        for c in report.calls
        if (key := (int(c.outcome.call.arm), c.outcome.call.case)) in values
    )

    def blind(arm: ArmEstimate | None) -> ArmEstimate | None:
        return arm and replace(arm, objectives=())

    answer = report.recommendation
    answer = replace(answer, best=blind(answer.best), baseline=blind(answer.baseline))
    report = replace(report, calls=calls, recommendation=answer)

    found = {c.name: c for c in contrasts(report, tally(report))}

    quality, latency = found["quality"], found["latency_ms"]
    assert quality.best is not None
    assert quality.baseline is not None
    assert quality.change is not None
    assert (quality.best.low, quality.best.high) == (0.0, 1.0)
    assert quality.change.high == pytest.approx(1.0 - quality.baseline.low)
    assert latency.best is not None
    assert latency.change is not None
    assert latency.baseline is not None
    assert latency.best.low == latency.baseline.low == 0.0
    assert latency.change.low >= -latency.baseline.high


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("x", Direction)
@pytest.mark.parametrize("y", Direction)
def test_the_front_is_what_nothing_beats_in_both(seed: int, x: Direction, y: Direction) -> None:
    draws = np.random.default_rng(seed).integers(0, 12, size=(40, 2)).astype(float)
    points = [(ArmId(i), float(p), float(q)) for i, (p, q) in enumerate(draws)]
    signs = np.array([1.0 if d is Direction.MAXIMIZE else -1.0 for d in (x, y)])
    values = draws * signs
    beaten = [bool(np.any(np.all(values >= v, axis=1) & np.any(values > v, axis=1))) for v in values]

    found = front_of(points, x, y)

    kept = {tuple(draws[i]) for i in found}
    assert kept == {tuple(v) for v, is_beaten in zip(draws, beaten, strict=True) if not is_beaten}
    assert len(found) == len(kept)


def with_quality(report: StudyReport, values: dict[int, float], *, n_cases: int, seen: float = 0.5) -> StudyReport:
    """Return the report with one quality for each of two arms, on the first cases."""
    calls = tuple(
        replace(c, outcome=replace(c.outcome, metrics={**c.outcome.metrics, "quality": values[c.outcome.call.arm]}))
        for c in report.calls
        if c.outcome.call.arm in values and c.outcome.call.case < n_cases
    )
    answer = report.recommendation
    assert answer.best is not None
    assert answer.baseline is not None
    own, usual = (Interval(mean=mean, low=max(0.0, mean - 0.2), high=min(1.0, mean + 0.2)) for mean in (0.9, seen))
    best = replace(answer.best, objectives=(own, *answer.best.objectives[1:]))
    baseline = replace(answer.baseline, objectives=(usual, *answer.baseline.objectives[1:]))
    return replace(report, calls=calls, recommendation=replace(answer, best=best, baseline=baseline))


def test_the_share_of_a_change_is_of_the_cases_that_it_was_measured_on() -> None:
    report = with_quality(make_report(), {0: 0.25, 1: 1.0}, n_cases=4)

    found = contrasts(report, tally(report))[0]

    assert found.reference == pytest.approx(0.25)
    assert difference_text(found).startswith("up 300 % (+0.750, ")


def test_no_share_is_told_of_a_baseline_that_is_the_error_of_arithmetic() -> None:
    tiny = Interval(mean=0.75, low=0.7, high=0.8)

    assert verdict(tiny, 2.17e-19) == "up (+0.750, +0.700 to +0.800)"


def test_equal_differences_on_few_cases_keep_the_doubt_of_the_two_means() -> None:
    report = with_quality(make_report(), {0: 0.0, 1: 1.0}, n_cases=4)

    change = contrasts(report, tally(report))[0].change

    assert change is not None
    assert change.mean == pytest.approx(1.0)
    assert change.low == pytest.approx(1.0 - math.hypot(0.2, 0.2))
    assert change.high == pytest.approx(1.0)


def test_equal_answers_on_few_cases_are_not_called_the_same() -> None:
    report = with_quality(make_report(), {0: 1.0, 1: 1.0}, n_cases=4)

    assert difference_text(contrasts(report, tally(report))[0]).startswith("not distinguishable (")
