"""The final comparison: the answer and the baseline on cases that the search never saw."""

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import NormalDist, fmean, variance

from convergence_cluster.bootstrap.assembly import Assembly
from convergence_cluster.bootstrap.pricing import CostBound
from convergence_cluster.coordinator.rounds import Rounds
from convergence_cluster.domain.identity import ArmId
from convergence_cluster.domain.search import HOLDOUT, Block, Interval
from convergence_cluster.metering.budget import Budget
from convergence_cluster.reports.records import Holdout
from convergence_cluster.spec.loading import LoadedStudy

_Z_90 = NormalDist().inv_cdf(0.95)


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


def set_aside(study: LoadedStudy, budget: Budget, bound: CostBound) -> None:
    """Keep the search from spending what the final comparison will take, but never more than half of a cap."""
    n_calls = 2 * len(study.holdout) * study.n_draws
    cases = range(len(study.cases), len(study.cases) + len(study.holdout))
    dearest = [
        study.n_draws * max(bound.usd(each, case) for each in bound.representatives()) + bound.scoring_usd(case)
        for case in cases
    ]
    cap_usd = study.spec.budget.usd
    budget.set_aside(
        calls=min(n_calls, study.max_calls // 2), usd=0.0 if cap_usd is None else min(2 * sum(dearest), cap_usd / 2)
    )


def holdout_result(assembly: Assembly, study: LoadedStudy) -> Holdout | None:
    """Return what the held-out cases say, paired case by case; None while nothing was measured on them."""
    answer = assembly.coordinator.optimizer.recommend()
    if answer.best is None:
        return None
    best = _scores(assembly, study, answer.best.arm)
    baseline = _scores(assembly, study, answer.baseline.arm) if answer.baseline else {}
    if not best:
        return None
    changes = {case: score - baseline[case] for case, score in best.items() if case in baseline}
    return Holdout(
        n_cases=len(best),
        best=_interval(by_weight(study, best)),
        baseline=_interval(by_weight(study, baseline)) if baseline else None,
        change=_interval(by_weight(study, changes)) if changes else None,
    )


def by_weight(study: LoadedStudy, values: Mapping[int, float]) -> list[float]:
    """Return one value a case, so scaled that their plain mean is the mean by the cases' weights."""
    weights = {case: study.all_cases[case].weight for case in values}
    mean_weight = fmean(weights.values())
    return [value * weights[case] / mean_weight for case, value in values.items()]


def _scores(assembly: Assembly, study: LoadedStudy, arm: ArmId) -> dict[int, float]:
    scores = {}
    for case in range(len(study.cases), len(study.cases) + len(study.holdout)):
        outcome = assembly.coordinator.outcomes.get((arm, case, 0))
        if outcome is not None and outcome.metrics:
            scores[case] = assembly.metrics.score(outcome.metrics)
    return scores


def _interval(values: Sequence[float]) -> Interval:
    """Return the mean with its 90 % interval by the normal approximation, wide open where one value says nothing."""
    mean = fmean(values)
    half = _Z_90 * sqrt(variance(values) / len(values)) if len(values) > 1 else 1.0
    return Interval(mean=mean, low=mean - half, high=mean + half)
