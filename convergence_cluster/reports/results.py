"""best_config.json and detailed_results.json: the predecessor's keys, then what is new."""

import json
import math
from collections.abc import Iterable, Mapping

from convergence_cluster.domain.calls import OutcomeKind
from convergence_cluster.domain.identity import Json
from convergence_cluster.domain.search import ArmEstimate, Interval
from convergence_cluster.reports.constraints import breach_facts, breach_words
from convergence_cluster.reports.contrast import contrasts
from convergence_cluster.reports.findings import stopping
from convergence_cluster.reports.records import ScoredCall, StudyReport
from convergence_cluster.reports.sheets import case_id
from convergence_cluster.reports.tally import LATENCY, Tally
from convergence_cluster.reports.wording import finite, moment


def plain(value: Json) -> Json:
    """Return a value that every JSON reader accepts: what is infinite or not a number becomes null."""
    match value:
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value


def best_config(report: StudyReport, counts: Tally) -> str:
    """Return best_config.json; `config` is null where no configuration has a score."""
    answer = report.recommendation
    best = answer.best
    about = {
        "description": _description(report),
        "how_to_use": _use(report),
        "is_feasible": None if best is None else best.is_feasible,
        "constraints_broken": breach_facts(report),
        "score_achieved": None if best is None else best.score.mean,
        "score_scale": "0 to 1, higher is better: the weighted mean of the metrics' utilities over all test cases",
        "timestamp": moment(report.finished_at_s),
        "optimization_run": report.study,
        "test_cases_evaluated": 0 if best is None else best.n_cases,
        "score_interval": None if best is None else interval(best.score),
        "interval_level": 0.9,
        "p_best": None if best is None else best.p_best,
        "p_within": answer.p_within,
        "within": report.within,
        "change_vs_baseline": interval(answer.change),
        "metrics": {
            c.name: {"best": interval(c.best), "baseline": interval(c.baseline), "change": interval(c.change)}
            for c in contrasts(report, counts)
        },
        "baseline": None if answer.baseline is None else {**answer.baseline.configuration},
        "tied": [{"config": {**arm.configuration}, "score": interval(arm.score)} for arm in answer.tied],
        "holdout": None if report.holdout is None else _holdout(report),
        "stop_reason": None if report.stop_reason is None else report.stop_reason.value,
        "calls": answer.n_calls,
        "spent_usd": report.spend.usd,
        "provenance": {**report.provenance},
    }
    document = {"_README": about, "config": None if best is None else {**best.configuration}}
    return json.dumps(plain(document), indent=2, ensure_ascii=False, default=str) + "\n"


def _description(report: StudyReport) -> str:
    if report.recommendation.best is None:
        return f"The study {report.name!r} found no configuration to recommend: none has a score ({stopping(report)})."
    return f"The best configuration that the study {report.name!r} found."


def _use(report: StudyReport) -> str:
    if report.recommendation.best is None:
        return (
            "There is nothing to use: `config` is null. `stop_reason` says why, the reports what became of the calls."
        )
    words = breach_words(report)
    if words is not None:
        return f"Do not deploy `config`: it breaks a constraint ({words}), as does every other configuration so far."
    return (
        "Send the values under `config` with your API calls. `score_interval` says how well the score is known; every "
        "configuration under `tied` may be just as good."
    )


def detailed_results(report: StudyReport, counts: Tally) -> str:
    """Return detailed_results.json: a list with one line per configuration, its calls under `test_results`."""
    inputs = [plain({**case.input}) for case in report.cases]
    entries = (_entry(report, counts, arm, inputs) for arm in report.arms)
    lines = (json.dumps(entry, ensure_ascii=False, allow_nan=False, default=str) for entry in entries)
    return "[\n" + ",\n".join(lines) + "\n]\n"


def interval(estimate: Interval | None) -> dict[str, float | None] | None:
    """Return an interval as JSON; an end that is unknown is null."""
    if estimate is None:
        return None
    return {"mean": finite(estimate.mean), "low": finite(estimate.low), "high": finite(estimate.high)}


def _holdout(report: StudyReport) -> Json:
    assert report.holdout is not None
    found = report.holdout
    return {
        "test_cases": found.n_cases,
        "best": interval(found.best),
        "baseline": interval(found.baseline),
        "change": interval(found.change),
    }


def _entry(report: StudyReport, counts: Tally, arm: ArmEstimate, inputs: list[Json]) -> Json:
    found = counts.arm(arm.arm)
    is_scored = found.n_scored > 0
    entry = {
        "config": plain({**arm.configuration}),
        "score": finite(arm.score.mean) if is_scored else None,
        "metrics": found.metrics(),
        "generation": found.first_block,
        "timestamp": moment(found.last_finished_at_s or report.finished_at_s),
        "test_results": list(_results(report, found.calls, inputs)),
        "arm": arm.arm,
        "state": arm.state.value,
        "operator": arm.operator,
        "score_interval": interval(arm.score) if is_scored else None,
        "p_best": finite(arm.p_best),
    }
    return entry if is_scored else {**entry, "error": found.error or "never called"}


def _results(report: StudyReport, calls: Iterable[ScoredCall], inputs: list[Json]) -> Iterable[Json]:
    for call in calls:
        outcome = call.outcome
        latency = finite(outcome.latency_s)
        case = outcome.call.case
        text = outcome.answer if report.answers_allowed else None
        yield {
            "test_case_id": case_id(report, case),
            "input": inputs[case] if case < len(inputs) else None,
            "response_text": text,
            "response": None,
            "score": finite(call.score),
            "metrics": plain({**outcome.metrics}),
            LATENCY: None if latency is None else 1000.0 * latency,
            "cost_usd": finite(outcome.cost_usd),
            "success": outcome.kind is OutcomeKind.OK,
            "error": outcome.error,
            "outcome": outcome.kind.value,
            "repeat": outcome.call.repeat,
            "attempts": outcome.n_attempts,
            "cached": outcome.is_cached,
        }
