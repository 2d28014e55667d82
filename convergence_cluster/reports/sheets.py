"""experiments.csv and detailed_results.csv: the predecessor's columns first, under their names, then what is new."""

from collections.abc import Iterable, Sequence

from convergence_cluster.domain.calls import OutcomeKind, Usage
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.domain.search import ArmEstimate
from convergence_cluster.reports.cells import table
from convergence_cluster.reports.contrast import estimate
from convergence_cluster.reports.records import ScoredCall, StudyReport
from convergence_cluster.reports.tally import COST, LATENCY, Tally
from convergence_cluster.reports.wording import finite, moment

_NEW_BY_ARM = (
    "arm",
    "state",
    "operator",
    "score_low",
    "score_high",
    "p_best",
    "calls",
    "cases",
    "feasible",
    "recommended",
    "tied",
    "on_front",
    COST,
    LATENCY,
    "error",
)
_NEW_BY_CALL = (
    "arm",
    "repeat",
    "outcome",
    "attempts",
    "waited_s",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "price_source",
    "model",
    "finished_at",
    "cached",
    "error",
)


def parameter_names(report: StudyReport) -> tuple[str, ...]:
    """Return every parameter that the space or any configuration names, in that order."""
    names = dict.fromkeys(parameter.name for parameter in report.space.parameters)
    for arm in report.arms:
        names |= dict.fromkeys(arm.configuration)
    return tuple(names)


def experiments(report: StudyReport, counts: Tally) -> str:
    """Return one row per configuration, in the order in which they were opened."""
    parameters = parameter_names(report)
    metrics = [(i, m) for i, m in enumerate(report.metrics) if m.name not in {COST, LATENCY}]
    header = _header(
        ["generation", "score"], parameters, _NEW_BY_ARM, [f"{m.name}{end}" for _, m in metrics for end in _ENDS]
    )
    answer = report.recommendation
    tied, front = ({arm.arm for arm in some} for some in (answer.tied, answer.front))

    def row(arm: ArmEstimate) -> Sequence[Json]:
        counted = counts.arm(arm.arm)
        known = arm.score if counted.n_scored else None
        return [
            counted.first_block,
            None if known is None else known.mean,
            *_values(arm.configuration, parameters),
            arm.arm,
            arm.state.value,
            arm.operator,
            None if known is None else known.low,
            None if known is None else known.high,
            arm.p_best,
            arm.n_calls,
            arm.n_cases,
            arm.is_feasible,
            answer.best is not None and arm.arm == answer.best.arm,
            arm.arm in tied,
            arm.arm in front,
            counted.mean(COST),
            counted.mean(LATENCY),
            counted.error,
            *(value for i, m in metrics for value in _metric(arm, i, counted.mean(m.name))),
        ]

    return table(header, map(row, report.arms))


def detailed_results(report: StudyReport) -> str:
    """Return one row per finished call, in the order in which they finished."""
    parameters = parameter_names(report)
    metrics = [m.name for m in report.metrics if m.name not in {COST, LATENCY}]
    header = _header(
        ["generation", "test_case_id"], parameters, ["score", LATENCY, COST, "success", *_NEW_BY_CALL], metrics
    )

    def row(call: ScoredCall) -> Sequence[Json]:
        outcome = call.outcome
        latency = finite(outcome.latency_s)
        usage = outcome.usage or _NO_USAGE
        return [
            call.block,
            case_id(report, outcome.call.case),
            *_values(outcome.call.configuration, parameters),
            call.score,
            None if latency is None else 1000.0 * latency,
            outcome.cost_usd,
            outcome.kind is OutcomeKind.OK,
            outcome.call.arm,
            outcome.call.repeat,
            outcome.kind.value,
            outcome.n_attempts,
            outcome.waited_s,
            *([None] * 3 if outcome.usage is None else [usage.input_tokens, usage.output_tokens, usage.cached_tokens]),
            outcome.price_source,
            outcome.model,
            moment(outcome.finished_at_s) if outcome.finished_at_s else None,
            outcome.is_cached,
            outcome.error,
            *(outcome.metrics.get(name) for name in metrics),
        ]

    return table(header, map(row, report.calls))


_ENDS = ("", "_low", "_high")
_NO_USAGE = Usage()


def case_id(report: StudyReport, case: int) -> str:
    """Return the id that the user gave a case."""
    return str(report.cases[case].id) if case < len(report.cases) else f"case {case}"


def _values(configuration: Configuration, parameters: Iterable[str]) -> list[Json]:
    """Return an empty cell for a parameter that does not apply, and `null` for one that is null."""
    return [
        None if name not in configuration else "null" if configuration[name] is None else configuration[name]
        for name in parameters
    ]


def _metric(arm: ArmEstimate, index: int, mean: float | None) -> tuple[float | None, float | None, float | None]:
    known = estimate(arm, index)
    return (mean, None, None) if known is None else (known.mean, known.low, known.high)


def _header(first: Sequence[str], parameters: Sequence[str], new: Sequence[str], metrics: Sequence[str]) -> list[str]:
    """Return column names without a double: ours keep their names, a parameter or metric gets a prefix."""
    ours = {*first, *new}
    named = [f"parameter.{name}" if name in ours else name for name in parameters]
    taken = ours | set(named)
    return [*first, *named, *new, *(f"metric.{name}" if name in taken else name for name in metrics)]
