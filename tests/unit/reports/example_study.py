"""Studies with a known truth, for the tests of reports."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind, TestCase, Usage
from convergence_cluster.domain.identity import ArmId, CaseId, Configuration, Json, StudyId
from convergence_cluster.domain.search import (
    ArmEstimate,
    ArmState,
    Direction,
    Interval,
    Recommendation,
    StopReason,
)
from convergence_cluster.domain.space import Parameter, ParameterKind, SearchSpace
from convergence_cluster.reports.records import (
    Caps,
    Holdout,
    MetricDefinition,
    ScoredCall,
    Spend,
    StudyReport,
    TrajectoryPoint,
)

START_S = 1_795_000_000.0
METRICS = (
    MetricDefinition(name="quality", weight=0.6, direction=Direction.MAXIMIZE),
    MetricDefinition(name="latency_ms", weight=0.2, direction=Direction.MINIMIZE, unit="ms", scale=2000.0),
    MetricDefinition(name="cost_usd", weight=0.2, direction=Direction.MINIMIZE, unit="usd", scale=0.01),
)
MODELS = {"gpt-4.1": (0.86, 1900.0, 0.0082), "gpt-4.1-mini": (0.80, 900.0, 0.0021), "gpt-4.1-nano": (0.62, 500.0, 6e-4)}
SPACE = SearchSpace(
    parameters=(
        Parameter(name="model", kind=ParameterKind.CATEGORICAL, values=tuple(MODELS)),
        Parameter(name="temperature", kind=ParameterKind.CONTINUOUS, low=0.0, high=1.0, step=0.1),
        Parameter(name="max_tokens", kind=ParameterKind.ORDINAL, values=(128, 256, 512)),
        Parameter(
            name="system_prompt", kind=ParameterKind.CATEGORICAL, values=("Be brief.", "Answer step by step.\n" * 6)
        ),
    )
)


def make_report(*, n_arms: int = 40, n_cases: int = 24, calls_per_arm: int | None = None, seed: int = 1) -> StudyReport:
    """Return a finished study; arm 0 is the baseline, the best arm has seen every case."""
    rng = np.random.default_rng(seed)
    cases = tuple(
        TestCase(id=CaseId(f"case-{i:03d}"), input={"prompt": f"Question {i}?"}, expected=f"Answer {i}")
        for i in range(n_cases)
    )
    arms: list[ArmEstimate] = []
    calls: list[ScoredCall] = []
    for index in range(n_arms):
        configuration = _configuration(rng, index)
        n_calls = n_cases if index in {0, 1} else (calls_per_arm or int(rng.choice([4, 4, 8, n_cases])))
        own = [
            _call(rng, index, configuration, (case % n_cases, case // n_cases), len(calls)) for case in range(n_calls)
        ]
        calls += own
        arms.append(estimate(index, configuration, own))
    calls = [replace(c, outcome=replace(c.outcome, finished_at_s=START_S + i)) for i, c in enumerate(calls)]
    return StudyReport(
        study=StudyId("support-bot-7f3a"),
        name="support-bot",
        started_at_s=START_S,
        finished_at_s=START_S + 95.0,
        stop_reason=StopReason.CERTAIN,
        recommendation=recommend(arms, len(calls)),
        arms=tuple(arms),
        calls=tuple(calls),
        cases=cases,
        metrics=METRICS,
        space=SPACE,
        spend=Spend(usd=1.2345, n_calls=len(calls), seconds=95.0),
        caps=Caps(usd=5.0, calls=2000, minutes=30.0),
        price_sources=("genai-prices 0.2.3, 2026-11-01",),
        legacy="2 elites of 3 earlier studies of this API.",
        holdout=Holdout(
            n_cases=6,
            best=Interval(mean=0.81, low=0.76, high=0.85),
            baseline=Interval(mean=0.74, low=0.68, high=0.79),
            change=Interval(mean=0.07, low=0.01, high=0.12),
        ),
        trajectory=_trajectory(rng, arms, len(calls)),
        notes=("3 cases were kept back for the final comparison.",),
        provenance={"version": "0.1.0", "seed": "7"},
    )


def empty_report() -> StudyReport:
    """Return a study that ended before anything ran."""
    nothing = Recommendation(
        best=None,
        baseline=None,
        change=None,
        tied=(),
        front=(),
        p_within=0.0,
        gain_per_100_calls=float("nan"),
        n_arms=0,
        n_alive=0,
        n_calls=0,
    )
    return StudyReport(
        study=StudyId("empty"),
        name="empty",
        started_at_s=START_S,
        finished_at_s=START_S,
        stop_reason=StopReason.NO_FEASIBLE,
        recommendation=nothing,
        arms=(),
        calls=(),
        cases=(),
        metrics=METRICS,
        space=SPACE,
    )


def without_prices(report: StudyReport) -> StudyReport:
    """Return the study as it looks where no call has a known price; the evaluator's cost is not a number."""
    calls = tuple(
        replace(
            call,
            outcome=replace(
                call.outcome,
                cost_usd=None,
                metrics={k: float("nan") if k == "cost_usd" else v for k, v in call.outcome.metrics.items()},
            ),
        )
        for call in report.calls
    )
    unknown = Interval(mean=float("nan"), low=float("nan"), high=float("nan"))

    def blind(arm: ArmEstimate) -> ArmEstimate:
        return replace(arm, objectives=(*arm.objectives[:2], unknown))

    answer = report.recommendation
    assert answer.best is not None
    assert answer.baseline is not None
    return replace(
        report,
        calls=calls,
        arms=tuple(map(blind, report.arms)),
        recommendation=replace(
            answer,
            best=blind(answer.best),
            baseline=blind(answer.baseline),
            tied=tuple(map(blind, answer.tied)),
            front=tuple(map(blind, answer.front)),
        ),
        spend=Spend(usd=None, n_calls=len(calls), seconds=95.0, n_unpriced_calls=len(calls)),
    )


def over_budget(report: StudyReport) -> StudyReport:
    """Return the study with a bound on the cost that the answer breaks."""
    best = report.recommendation.best
    assert best is not None
    metrics = (*report.metrics[:2], replace(report.metrics[2], high=0.0008))
    cost = Interval(mean=0.00125, low=0.00125, high=0.00125)
    broken = replace(best, is_feasible=False, objectives=(*best.objectives[:2], cost))
    return replace(report, metrics=metrics, recommendation=replace(report.recommendation, best=broken))


def reconfigured(report: StudyReport, changes: Mapping[str, Json]) -> StudyReport:
    """Return the study with some values of the recommended configuration replaced everywhere."""
    best = report.recommendation.best
    assert best is not None
    new = replace(best, configuration={**best.configuration, **changes})
    calls = tuple(
        replace(c, outcome=replace(c.outcome, call=replace(c.outcome.call, configuration=new.configuration)))
        if c.outcome.call.arm == new.arm
        else c
        for c in report.calls
    )
    return replace(
        report,
        arms=tuple(new if arm.arm == new.arm else arm for arm in report.arms),
        calls=calls,
        recommendation=replace(report.recommendation, best=new),
    )


def estimate(index: int, configuration: Configuration, calls: Sequence[ScoredCall]) -> ArmEstimate:
    """Return the plain means of an arm's calls as its posterior."""
    ok = [call for call in calls if call.score is not None]
    scores = [call.score for call in ok if call.score is not None] or [float("nan")]
    reach = 0.5 / len(scores) ** 0.5 * 0.4
    means = [float(np.mean([c.outcome.metrics[m.name] for c in ok])) if ok else float("nan") for m in METRICS]
    return ArmEstimate(
        arm=ArmId(index),
        configuration=configuration,
        state=ArmState.ALIVE if index < 8 else ArmState.DEAD,
        operator="baseline" if index == 0 else "elite" if index == 1 else "crossover",
        score=Interval(
            mean=float(np.mean(scores)), low=float(np.mean(scores)) - reach, high=float(np.mean(scores)) + reach
        ),
        n_calls=len(calls),
        n_cases=len({call.outcome.call.case for call in calls}),
        p_best=0.9 if index == 1 else 0.1 / max(1, index),
        objectives=tuple(Interval(mean=m, low=m * (1 - reach), high=m * (1 + reach)) for m in means),
    )


def recommend(arms: Sequence[ArmEstimate], n_calls: int) -> Recommendation:
    """Return the arm 1, or the only one, as the answer."""
    best = arms[min(1, len(arms) - 1)]
    mean = best.score.mean - arms[0].score.mean
    return Recommendation(
        best=best,
        baseline=arms[0],
        change=Interval(mean=mean, low=mean - 0.04, high=mean + 0.04),
        tied=tuple(arms[2:4]),
        front=tuple(arms[1:6]),
        p_within=0.962,
        gain_per_100_calls=0.0021,
        n_arms=len(arms),
        n_alive=min(8, len(arms)),
        n_calls=n_calls,
    )


def _configuration(rng: np.random.Generator, index: int) -> Configuration:
    model = list(MODELS)[0 if index == 0 else 1 if index == 1 else int(rng.integers(3))]
    return {
        "model": model,
        "temperature": 1.0 if index == 0 else 0.3 if index == 1 else float(np.round(rng.random(), 1)),
        "max_tokens": int(rng.choice([128, 256, 512])),
        "system_prompt": SPACE.parameters[3].values[index % 2],
    }


def _call(
    rng: np.random.Generator, arm: int, configuration: Configuration, drawn: tuple[int, int], place: int
) -> ScoredCall:
    case, repeat = drawn
    call = Call(study=StudyId("s"), arm=ArmId(arm), case=case, repeat=repeat, configuration=configuration)
    if arm > 1 and rng.random() < 0.04:
        kind = OutcomeKind.REFUSED if rng.random() < 0.5 else OutcomeKind.FAILED
        error = "the provider answered 500 after 3 retries" if kind is OutcomeKind.FAILED else "content filter"
        return ScoredCall(
            outcome=CallOutcome(call=call, kind=kind, n_attempts=3, error=error), score=None, block=place // 4
        )
    mean, latency, cost = MODELS[configuration["model"]]
    quality = float(np.clip(mean - 0.2 * configuration["temperature"] ** 2 + rng.normal(0, 0.22), 0, 1))
    metrics = {
        "quality": quality,
        "latency_ms": latency * float(rng.lognormal(0, 0.25)),
        "cost_usd": cost * float(rng.uniform(0.8, 1.2)),
    }
    score = 0.6 * quality + 0.2 / (1 + metrics["latency_ms"] / 2000) + 0.2 / (1 + metrics["cost_usd"] / 0.01)
    outcome = CallOutcome(
        call=call,
        kind=OutcomeKind.OK,
        metrics=metrics,
        latency_s=metrics["latency_ms"] / 1000,
        cost_usd=metrics["cost_usd"],
        price_source="genai-prices",
        usage=Usage(input_tokens=120, output_tokens=int(rng.integers(40, 400))),
        n_attempts=1,
        answer=f"The answer of arm {arm} to question {case}.",
        model=configuration["model"],
    )
    return ScoredCall(outcome=outcome, score=score, block=place // 4)


def _trajectory(rng: np.random.Generator, arms: Sequence[ArmEstimate], n_calls: int) -> tuple[TrajectoryPoint, ...]:
    end = arms[min(1, len(arms) - 1)].score.mean
    points = []
    for step in range(1, 41):
        share = step / 40
        mean = end - 0.12 * (1 - share) ** 2 + float(rng.normal(0, 0.004)) * (step < 40)
        reach = 0.03 + 0.1 * (1 - share)
        arm = 0 if step < 6 else min(2, len(arms) - 1) if step < 15 else min(1, len(arms) - 1)
        points.append(
            TrajectoryPoint(
                n_calls=round(share * n_calls),
                arm=ArmId(arm),
                score=Interval(mean=mean, low=mean - reach, high=mean + reach),
            )
        )
    return tuple(points)
