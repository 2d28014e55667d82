"""Which metrics a study has: names, weights, directions, and who computes each."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.identity import Json
from convergence_cluster.domain.search import Direction, Objective
from convergence_cluster.spec.assertions import EMBEDDED, JUDGED, bare_type, every
from convergence_cluster.spec.functions import ASSERT, ASSERTED, EVERY_DRAW, REPEATED, function_of
from convergence_cluster.spec.problems import Problem, suggestion
from convergence_cluster.spec.schema_evaluation import EvaluationSection, MetricSection
from convergence_cluster.spec.space import is_number

MEASURED: Final = {
    "latency_ms": Direction.MINIMIZE,
    "ttft_ms": Direction.MINIMIZE,
    "cost_usd": Direction.MINIMIZE,
    "input_tokens": Direction.MINIMIZE,
    "output_tokens": Direction.MINIMIZE,
    "total_tokens": Direction.MINIMIZE,
    "success_rate": Direction.MAXIMIZE,
}
"""Metrics that every call has, with the better direction."""

ALIASES: Final = {"latency": "latency_ms", "ttft": "ttft_ms", "cost": "cost_usd", "tokens": "total_tokens"}
"""Short names of measured metrics."""

_LOWER: Final = {
    "latency",
    "cost",
    "costs",
    "tokens",
    "token",
    "time",
    "price",
    "error",
    "errors",
    "duration",
    "ms",
    "usd",
}
_HIGHER: Final = {"efficiency", "score", "quality", "accuracy", "savings"}
_BY_EXPECTED: Final = {"length", "numeric", "exact", "contains"}
_INFERRED: Final = {"quality", "accuracy"}
_PATH: Final = ("evaluation", "metrics")
_PERCENT: Final = 100
"""A bound up to here that no share can reach was probably meant in percent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One metric, ready to be computed."""

    name: str
    weight: float
    """Share in the score; the weights of a study's metrics add up to 1."""
    direction: Direction
    function: str
    """`measured`, or a name that `function_of` returns."""
    scale: float | None
    """Lower is better: the value whose utility is 1/2; None: the baseline's measured median. Else None."""
    options: Mapping[str, Json] = field(default_factory=dict)
    """What the file says for the function: `pattern`, `tolerance`, `schema` and the rest, by their keys."""


def to_metrics(
    evaluation: EvaluationSection, cases: Sequence[TestCase] | None, *, has_evaluator: bool
) -> tuple[tuple[Metric, ...], list[Problem], list[str]]:
    """Return the metrics in the file's order, what is wrong with them, and what was inferred.

    Without cases (they could not be read), nothing is said of metrics that depend on them.
    """
    problems, notes = list[Problem](), list[str]()
    total = sum(given.weight for given in evaluation.metrics.values())
    if total <= 0:
        problems.append(Problem(path=_PATH, message="all weights are 0; expected at least one above 0"))
    metrics: dict[str, Metric] = {}
    for written, given in evaluation.metrics.items():
        name = written if given.function is not None else ALIASES.get(written, written)
        path = (*_PATH, written)
        function = _function(name, given, cases, has_evaluator=has_evaluator)
        if name in metrics:
            problems.append(Problem(path=path, message=f"the same metric as {name}; expected it once"))
        if function is None:
            problems.append(Problem(path=path, message=_nobody(name)))
        elif given.function is None and function in _BY_EXPECTED:
            notes.append(f"{'.'.join(path)}: no function given; scored by {function}, by the shape of `expected`")
        direction = _direction(name, given)
        problems += _problems_of(name, path, given, function, has_evaluator=has_evaluator)
        metrics[name] = Metric(
            name=name,
            weight=given.weight / total if total > 0 else 0.0,
            direction=direction,
            function=function or "custom",
            scale=(given.threshold or given.budget_per_call) if direction is Direction.MINIMIZE else None,
            options=_options(function, given),
        )
    problems += _settle_repeated(metrics)
    problems += _helper_problems(evaluation, metrics.values(), cases or ())
    notes += _assertion_notes(metrics.values(), cases or ())
    for name in _bounded(evaluation):
        metrics.setdefault(name, _watched(name))
    return tuple(metrics.values()), problems + _constraint_problems(evaluation, metrics), notes


def _problems_of(
    name: str, path: tuple[str, ...], given: MetricSection, function: str | None, *, has_evaluator: bool
) -> list[Problem]:
    """Return what is wrong with one metric whose function is known."""
    found: dict[tuple[str, ...], str] = {}
    if bare_type(function or "") == JUDGED and given.rubric is None and given.value is None:
        found[*path, "rubric"] = "required for llm_judge: what a good answer is"
    if given.field is not None and function in {"measured", "custom", *REPEATED}:
        found[*path, "field"] = f"expected only where a function scores the answer; {function} does not"
    if function == "custom" and not has_evaluator:
        found[path] = "function custom needs evaluation.custom_evaluator with the module that computes it"
    if function == "measured" and _direction(name, given) is not MEASURED[name]:
        right = "expected higher_is_better" if name == "success_rate" else "higher_is_better: expected lower_is_better"
        found[*path, "type"] = right
    return [Problem(path=place, message=message) for place, message in found.items()]


def to_objectives(evaluation: EvaluationSection, metrics: Sequence[Metric]) -> tuple[Objective, ...]:
    """Return one objective a metric, in the same order, with the study's constraints."""
    bounds = {ALIASES.get(name, name): bound for name, bound in evaluation.constraints.items()}
    bounds |= {name: bound for name, bound in evaluation.constraints.items() if name in {m.name for m in metrics}}
    return tuple(
        Objective(
            name=metric.name,
            direction=metric.direction,
            low=bounds[metric.name].min if metric.name in bounds else None,
            high=bounds[metric.name].max if metric.name in bounds else None,
        )
        for metric in metrics
    )


def _bounded(evaluation: EvaluationSection) -> list[str]:
    """Return the measured metrics that only a constraint names."""
    names = [name if name in evaluation.metrics else ALIASES.get(name, name) for name in evaluation.constraints]
    return [name for name in names if name in MEASURED]


def _watched(name: str) -> Metric:
    return Metric(name=name, weight=0.0, direction=MEASURED[name], function="measured", scale=None)


def _constraint_problems(evaluation: EvaluationSection, metrics: Mapping[str, Metric]) -> list[Problem]:
    problems = []
    for name, bound in evaluation.constraints.items():
        path = ("evaluation", "constraints", name)
        metric = metrics.get(name) or metrics.get(ALIASES.get(name, name))
        if metric is None:
            problems.append(Problem(path=path, message=f"no such metric{suggestion(name, metrics)}"))
            continue
        is_share = metric.function != "measured" or metric.name == "success_rate"
        if bound.min is not None and bound.min > 1 and is_share:
            hint = f", as in {bound.min / 100:g}" if bound.min <= _PERCENT else ""
            message = f"{bound.min:g}: {name} is a share; expected 0 to 1{hint}"
            problems.append(Problem(path=(*path, "min"), message=message))
        if bound.max is not None and bound.max < 0:
            message = f"{bound.max:g}: {name} is never below 0; expected a number of at least 0"
            problems.append(Problem(path=(*path, "max"), message=message))
    return problems


def _direction(name: str, given: MetricSection) -> Direction:
    if given.type is not None:
        return Direction.MINIMIZE if given.type == "lower_is_better" else Direction.MAXIMIZE
    words = re.split(r"[^a-z]+", name.lower())
    is_lower = bool(_LOWER & set(words)) and not _HIGHER & set(words)
    return MEASURED.get(name, Direction.MINIMIZE if is_lower else Direction.MAXIMIZE)


def _function(name: str, given: MetricSection, cases: Sequence[TestCase] | None, *, has_evaluator: bool) -> str | None:
    if given.function is not None:
        return function_of(given.function)
    if given.asserts is not None or (given.type == "llm_judge" and (given.rubric is not None or not has_evaluator)):
        return JUDGED if given.asserts is None else ASSERT
    if name in MEASURED:
        return "measured"
    if has_evaluator:
        return "custom"
    if name not in _INFERRED:
        return None
    return "exact" if cases is None else _by_expected(name, cases)


def _options(function: str | None, given: MetricSection) -> Mapping[str, Json]:
    """Return what the function is told; a threshold is a pass mark only to assertions."""
    options = given.options()
    if (rubric := options.pop("rubric", None)) is not None:
        options["value"] = rubric
    is_assertion = function in {ASSERT, EVERY_DRAW} or bare_type(function or "") in ASSERTED
    return options if is_assertion else {key: value for key, value in options.items() if key != "threshold"}


def _settle_repeated(metrics: dict[str, Metric]) -> list[Problem]:
    """Name the metric that each `pass^k` is of, where the file does not; return where that cannot be done."""
    able = [m.name for m in metrics.values() if m.function not in {"measured", *REPEATED}]
    problems = []
    for name, metric in metrics.items():
        if metric.function != EVERY_DRAW:
            continue
        of = metric.options.get("of", able[0] if len(able) == 1 else None)
        if of in able:
            metrics[name] = replace(metric, options={**metric.options, "of": of})
        else:
            wrong = f"{of}: no metric in [0, 1]" if of else "required: the metric that every draw must pass"
            path = (*_PATH, name, "of")
            problems.append(Problem(path=path, message=f"{wrong}{suggestion(str(of or ''), able)}"))
    return problems


def _helper_problems(
    evaluation: EvaluationSection, metrics: Iterable[Metric], cases: Sequence[TestCase]
) -> list[Problem]:
    """Return which model is missing that something is decided by."""
    used = {bare_type(each["type"]) for each in every_assertion(metrics, cases)}
    missing = []
    if JUDGED in used and evaluation.judge is None:
        message = "required by llm_judge and llm-rubric: the endpoint and the model that judges"
        missing.append(Problem(path=("evaluation", "judge"), message=message))
    if EMBEDDED in used and evaluation.embeddings is None:
        message = "required by similar: the endpoint and the model of the embeddings"
        missing.append(Problem(path=("evaluation", "embeddings"), message=message))
    return missing


def every_assertion(metrics: Iterable[Metric], cases: Iterable[TestCase]) -> Iterator[Mapping[str, Json]]:
    """Yield every assertion of a study: of its metrics, in their own words, and of its cases; those in sets too."""
    for metric in metrics:
        yield from every([{"type": metric.function, **metric.options}])
    for case in cases:
        yield from every(case.asserts)


def _assertion_notes(metrics: Iterable[Metric], cases: Sequence[TestCase]) -> list[str]:
    """Return what the user should know of assertions that nobody counts, and of cases with nothing to check."""
    counting = [metric for metric in metrics if metric.function == ASSERT]
    named = {metric.name for metric in counting}
    unheard = sorted({str(each.get("metric") or "") for case in cases for each in case.asserts} - named)
    notes = []
    if any(case.asserts for case in cases) and not counting:
        notes.append("evaluation.test_cases: their `assert` has no effect; a metric with `function: assert` counts it")
    elif wrong := [name for name in unheard if name]:
        places = ", ".join(wrong)
        notes.append(f"evaluation.test_cases: nobody counts the assertions of {places}; add metrics of these names")
    for index, metric in enumerate(counting):
        if metric.options.get("assert"):
            continue
        wanted = {metric.name, None} if index == 0 else {metric.name}
        n_bare = sum(not wanted & {each.get("metric") for each in case.asserts} for case in cases)
        if n_bare:
            notes.append(
                f"evaluation.metrics.{metric.name}: {n_bare} of {len(cases)} cases assert nothing; they count 1"
            )
    return notes


def _by_expected(name: str, cases: Sequence[TestCase]) -> str | None:
    """Return how `quality` or `accuracy` is computed, where what all cases expect leaves no doubt."""
    expected = [case.expected for case in cases]
    if not expected:
        return None
    if all(isinstance(e, Mapping) and e and set(e) <= {"min_length", "max_length"} for e in expected):
        return "length"
    if all(is_number(e) for e in expected):
        return "numeric"
    if all(isinstance(e, str) and e for e in expected):
        return "exact" if name == "accuracy" else "contains"
    return None


def _nobody(name: str) -> str:
    return f"nobody computes this metric; give it a function, or a custom_evaluator{suggestion(name, MEASURED)}"
