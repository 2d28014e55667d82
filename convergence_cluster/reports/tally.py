"""One pass over the calls of a study: sums that every document needs."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import ArmId
from convergence_cluster.reports.importance import Importance, importances
from convergence_cluster.reports.records import ScoredCall, StudyReport
from convergence_cluster.reports.wording import finite

COST = "cost_usd"
LATENCY = "latency_ms"


@dataclass(slots=True)
class ArmTally:
    """What one arm's calls add up to. Grows while the calls are read and is left alone afterwards."""

    calls: list[ScoredCall] = field(default_factory=list)
    n_scored: int = 0
    first_block: int = 0
    last_finished_at_s: float = 0.0
    error: str | None = None
    """Of its latest call without a score."""
    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def mean(self, name: str) -> float | None:
        """Return the plain mean of a metric over the scored calls that have it; also `cost_usd` and `latency_ms`."""
        count = self.counts.get(name, 0)
        return self.sums[name] / count if count else None

    def metrics(self) -> dict[str, float]:
        """Return the mean of every metric that is known."""
        return {name: self.sums[name] / self.counts[name] for name in self.sums}

    def by_case(self) -> dict[int, list[ScoredCall]]:
        """Return the scored calls by case."""
        cases: dict[int, list[ScoredCall]] = {}
        for call in self.calls:
            if call.score is not None:
                cases.setdefault(call.outcome.call.case, []).append(call)
        return cases


@dataclass(frozen=True, kw_only=True)
class Tally:
    """The calls of a study, counted."""

    report: StudyReport
    """What was counted."""
    arms: Mapping[ArmId, ArmTally]
    kinds: Mapping[OutcomeKind, int]
    unscored: Mapping[OutcomeKind, int]
    """Of these, the calls without a score."""
    reasons: tuple[tuple[OutcomeKind, str, int], ...]
    """Kind, error and number of calls without a score, most frequent first."""
    n_attempts: int
    seen: Mapping[str, tuple[float, float]]
    """The smallest and the largest value of every metric, over all scored calls."""

    def arm(self, arm: ArmId) -> ArmTally:
        """Return an arm's sums; empty ones where it was never called."""
        return self.arms.get(arm) or ArmTally()

    @cached_property
    def importances(self) -> tuple[Importance, ...]:
        """Return how much each parameter explains; several documents say it."""
        return importances(self.report.space, self.report.arms)


def measured(call: ScoredCall) -> dict[str, float]:
    """Return the finite metrics of an OK call, its own cost and latency among them."""
    outcome = call.outcome
    found = {name: float(value) for name, value in outcome.metrics.items() if finite(value) is not None}
    if (cost := finite(outcome.cost_usd)) is not None:
        found.setdefault(COST, cost / outcome.call.n_draws)
    if (latency := finite(outcome.latency_s)) is not None:
        found.setdefault(LATENCY, 1000.0 * latency)
    return found


def tally(report: StudyReport) -> Tally:
    """Count the calls of a study."""
    arms: dict[ArmId, ArmTally] = {}
    reasons: Counter[tuple[OutcomeKind, str]] = Counter()
    kinds: Counter[OutcomeKind] = Counter()
    unscored: Counter[OutcomeKind] = Counter()
    seen: dict[str, tuple[float, float]] = {}
    for call in report.calls:
        outcome = call.outcome
        kinds[outcome.kind] += 1
        found = arms.get(outcome.call.arm)
        if found is None:
            found = arms[outcome.call.arm] = ArmTally(first_block=call.block)
        _count(found, call, seen)
        unscored[outcome.kind] += call.score is None
        if call.score is None:
            reasons[outcome.kind, outcome.error or "(no reason given)"] += 1
    return Tally(
        report=report,
        arms=arms,
        kinds=kinds,
        unscored=unscored,
        reasons=tuple((kind, error, n) for (kind, error), n in reasons.most_common()),
        n_attempts=sum(call.outcome.n_attempts for call in report.calls),
        seen=seen,
    )


def _count(found: ArmTally, call: ScoredCall, seen: dict[str, tuple[float, float]]) -> None:
    outcome = call.outcome
    found.calls.append(call)
    found.last_finished_at_s = max(found.last_finished_at_s, outcome.finished_at_s)
    if call.score is None:
        found.error = outcome.error or outcome.kind.value
        return
    found.n_scored += 1
    for name, value in measured(call).items():
        found.sums[name] = found.sums.get(name, 0.0) + value
        found.counts[name] = found.counts.get(name, 0) + 1
        low, high = seen.get(name, (value, value))
        seen[name] = min(low, value), max(high, value)
