"""The final comparison: the answer and the baseline on cases that the search never saw."""

from collections.abc import Sequence
from math import sqrt
from statistics import NormalDist, fmean, variance

from convergence_cluster.bootstrap.assembly import Assembly
from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import Interval
from convergence_cluster.reports.records import Holdout
from convergence_cluster.spec.loading import LoadedStudy

_Z_90 = NormalDist().inv_cdf(0.95)


def confirm(assembly: Assembly, study: LoadedStudy) -> None:
    """Call the recommended arm and the baseline on every held-out case, as far as the budget goes."""
    answer = assembly.coordinator.optimizer.recommend()
    arms = {arm.arm: arm.configuration for arm in (answer.best, answer.baseline) if arm is not None}
    cases = range(len(study.cases), len(study.cases) + len(study.holdout))
    coordinator = assembly.coordinator
    coordinator.run_extra([coordinator.call(arm, case, config) for arm, config in arms.items() for case in cases])


def holdout_result(assembly: Assembly, study: LoadedStudy) -> Holdout | None:
    """Return what the held-out cases say, paired case by case; None while nothing was measured on them."""
    answer = assembly.coordinator.optimizer.recommend()
    if answer.best is None:
        return None
    best = _scores(assembly, study, answer.best.arm)
    baseline = _scores(assembly, study, answer.baseline.arm) if answer.baseline else {}
    if not best:
        return None
    changes = [score - baseline[case] for case, score in best.items() if case in baseline]
    return Holdout(
        n_cases=len(best),
        best=_interval(list(best.values())),
        baseline=_interval(list(baseline.values())) if baseline else None,
        change=_interval(changes) if changes else None,
    )


def _scores(assembly: Assembly, study: LoadedStudy, arm: ArmId) -> dict[int, float]:
    scores = {}
    for case in range(len(study.cases), len(study.cases) + len(study.holdout)):
        outcome = assembly.coordinator.outcomes.get((arm, case, 0))
        if outcome is not None and outcome.metrics:
            scores[case] = assembly.metrics.score(outcome.metrics)
    return scores


def _interval(values: Sequence[float]) -> Interval:
    """Return the mean with its 90 % interval by the normal approximation; a single value has no width."""
    mean = fmean(values)
    half = _Z_90 * sqrt(variance(values) / len(values)) if len(values) > 1 else 0.0
    return Interval(mean=mean, low=mean - half, high=mean + half)
