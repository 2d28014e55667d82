"""The final comparison: the answer and the baseline on cases that the search never saw."""

from collections.abc import Callable, Mapping
from math import inf

from convergence_cluster.bootstrap.assembly import Assembly
from convergence_cluster.bootstrap.pricing import CostBound
from convergence_cluster.coordinator.coordinating import Coordinator
from convergence_cluster.coordinator.rounds import POLL_S, Rounds
from convergence_cluster.domain.clock import Clock
from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import BASELINE, HOLDOUT, Block, Interval, StopReason
from convergence_cluster.reports.intervals import bounded, mean_interval
from convergence_cluster.reports.records import Holdout
from convergence_cluster.reports.wording import STOP_REASONS
from convergence_cluster.spec.loading import LoadedStudy

_S_PER_MINUTE = 60.0
_MARGIN = 1.25


def confirm(assembly: Assembly, study: LoadedStudy) -> Rounds:
    """Call the recommended arm and the baseline on every held-out case, case by case, as far as the budget goes."""
    answer = assembly.coordinator.optimizer.recommend()
    arms = {arm.arm: arm.configuration for arm in (answer.best, answer.baseline) if arm is not None}
    cases = range(len(study.cases), len(study.cases) + len(study.holdout))
    blocks = [
        Block(arm=arm, configuration=configuration, cases=(case,), operator=HOLDOUT)
        for case in cases
        for arm, configuration in arms.items()
    ]
    missing = [b for b in blocks if (b.arm, b.cases[0], b.repeat) not in assembly.coordinator.outcomes]
    return assembly.coordinator.extra_rounds(missing)


def set_aside(assembly: Assembly, study: LoadedStudy, *, bound: CostBound, clock: Clock) -> None:
    """Keep the search from spending what the final comparison will take, but never more than half of a cap.

    Whatever the answer will be, every case may be missing of it; of the baseline those that no earlier sitting called.
    """
    cases = range(len(study.cases), len(study.cases) + len(study.holdout))
    made = assembly.coordinator.outcomes
    missing = [*cases, *(case for case in cases if (BASELINE, case, 0) not in made)]
    n_calls = len(missing)
    dearest = [
        study.n_draws * max(bound.usd(each, case) for each in bound.representatives()) + bound.scoring_usd(case)
        for case in missing
    ]
    cap_usd, minutes = study.spec.budget.usd, study.spec.budget.minutes
    most_s = 0.0 if minutes is None else minutes * _S_PER_MINUTE / 2
    n_at_once = study.spec.optimization.execution.parallel_workers
    takes_s = _duration(assembly.coordinator, clock, n_calls=n_calls + 2 * n_at_once)
    assembly.budget.set_aside(
        calls=min(n_calls * study.n_draws, study.max_calls // 2),
        usd=0.0 if cap_usd is None else min(sum(dearest), cap_usd / 2),
        time_s=lambda: min(takes_s(), most_s),
    )


def _duration(coordinator: Coordinator, clock: Clock, *, n_calls: int) -> Callable[[], float]:
    """Return how many seconds so many calls take at the pace of this sitting, amply; 0 while it has none.

    As many as there are at once stand for the wait for the last of them: once for the search's, once for these.
    """
    began_s, n_before = clock.monotonic_s(), coordinator.accounts.n_calls

    def duration_s() -> float:
        n_finished = coordinator.accounts.n_calls - n_before
        if not n_finished:
            return 0.0
        return _MARGIN * n_calls * (clock.monotonic_s() - began_s) / n_finished + 2 * POLL_S

    return duration_s


def holdout_result(assembly: Assembly, study: LoadedStudy) -> Holdout | None:
    """Return what the held-out cases say, paired case by case; None while nothing was measured on them."""
    answer = assembly.coordinator.optimizer.recommend()
    if answer.best is None:
        return None
    best = _scores(assembly, study, answer.best.arm)
    baseline = _scores(assembly, study, answer.baseline.arm) if answer.baseline else {}
    return paired(study, best, baseline) if best else None


def paired(study: LoadedStudy, best: Mapping[int, float], baseline: Mapping[int, float]) -> Holdout:
    """Return what the scores by case say of both, and of their difference on the cases that both have.

    The cases stand for a larger population; one alone leaves the ends unknown.
    """
    common = best.keys() & baseline.keys()
    usual = _mean(study, baseline, 0.0, 1.0) if baseline else None
    low, high = (-inf, inf) if usual is None else (-usual.high, 1.0 - usual.low)
    return Holdout(
        n_cases=len(best),
        best=_mean(study, best, 0.0, 1.0),
        baseline=usual,
        change=_mean(study, {case: best[case] - baseline[case] for case in common}, low, high) if common else None,
    )


def holdout_notes(assembly: Assembly, study: LoadedStudy, reason: StopReason | None) -> tuple[str, ...]:
    """Return why an ended study with an answer has no final comparison, where it was to have one."""
    best = assembly.coordinator.optimizer.recommend().best
    if not study.holdout or best is None or reason is None or reason is StopReason.PROVIDER:
        return ()
    if _scores(assembly, study, best.arm):
        return ()
    cases = range(len(study.cases), len(study.cases) + len(study.holdout))
    is_made = any((best.arm, case, 0) in assembly.coordinator.outcomes for case in cases)
    why = "no call on them has a score" if is_made else f"{STOP_REASONS[reason]} before a call on them could be made"
    return (f"evaluation.test_cases.holdout: the cases kept from the search say nothing: {why}",)


def _mean(study: LoadedStudy, values: Mapping[int, float], low: float, high: float) -> Interval:
    found = mean_interval(list(values.values()), [study.all_cases[case].weight for case in values])
    assert found is not None  # there is a value
    return bounded(found, low, high)


def _scores(assembly: Assembly, study: LoadedStudy, arm: ArmId) -> dict[int, float]:
    scores = {}
    for case in range(len(study.cases), len(study.cases) + len(study.holdout)):
        outcome = assembly.coordinator.outcomes.get((arm, case, 0))
        if outcome is not None and outcome.metrics:
            scores[case] = assembly.metrics.score(outcome.metrics)
    return scores
