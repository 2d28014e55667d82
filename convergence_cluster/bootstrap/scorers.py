"""Builds what turns answers into metrics."""

from collections.abc import Mapping, Sequence

from convergence_cluster.bootstrap.helpers import Helpers
from convergence_cluster.evaluators.asserting import AssertEvaluator, Grader
from convergence_cluster.evaluators.builtin import BuiltinEvaluator
from convergence_cluster.evaluators.custom import CustomEvaluator
from convergence_cluster.evaluators.focusing import Focused
from convergence_cluster.evaluators.repeating import Consistency, PassAll, Repeated, close_text, same_text
from convergence_cluster.evaluators.scripts import PythonGrader
from convergence_cluster.spec.assertions import EMBEDDED, JUDGED, bare_type
from convergence_cluster.spec.functions import ASSERT, ASSERTED, CONSISTENCY, CUSTOM, EVERY_DRAW, REPEATED
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.metrics import Metric, every_assertion
from convergence_cluster.trials.protocols import Evaluator
from convergence_cluster.trials.running import LabelledAnswer

_MEASURED = "measured"
_OF_ASSERTION = ("value", "n", "threshold", "votes", "grades", "against")


def build_evaluators(study: LoadedStudy, helpers: Helpers) -> list[Evaluator]:
    """Return what scores answers: one evaluator a metric, and the user's own for all of its metrics.

    Raises:
        SpecError: a Python file of the study cannot be loaded.
    """
    graders = _graders(study, helpers)
    counting = [metric.name for metric in study.metrics if metric.function == ASSERT]
    evaluators: list[Evaluator] = []
    for metric in study.metrics:
        evaluator = _evaluator(metric, study, graders, takes_unnamed=metric.name in counting[:1])
        field = metric.options.get("field")
        if evaluator is not None:
            evaluators.append(evaluator if field is None else Focused(evaluator, field))
    custom = [metric.name for metric in study.metrics if metric.function == CUSTOM]
    if custom:
        assert study.evaluator is not None
        evaluators.append(CustomEvaluator(path=study.evaluator.path, function=study.evaluator.function, metrics=custom))
    return evaluators


def checking_evaluators(study: LoadedStudy) -> list[BuiltinEvaluator | AssertEvaluator]:
    """Return the evaluators that can tell of a test case alone whether answers to it can be scored."""
    first = next((metric for metric in study.metrics if metric.function == ASSERT), None)
    found = [_evaluator(metric, study, {}, takes_unnamed=metric is first) for metric in study.metrics]
    return [evaluator for evaluator in found if evaluator is not None]


def _evaluator(
    metric: Metric, study: LoadedStudy, graders: Mapping[str, Grader], *, takes_unnamed: bool
) -> BuiltinEvaluator | AssertEvaluator | None:
    """Return what computes one metric from one answer, None where something else does."""
    if metric.function == ASSERT or bare_type(metric.function) in ASSERTED:
        return _asserting(metric, study, graders, takes_unnamed=takes_unnamed)
    if metric.function in {_MEASURED, CUSTOM, *REPEATED}:
        return None
    return BuiltinEvaluator(metric=metric.name, function=metric.function, options=metric.options)


def build_repeated(study: LoadedStudy) -> tuple[Repeated, ...]:
    """Return the metrics of several draws."""
    found: list[Repeated] = []
    for metric in study.metrics:
        options = metric.options
        if metric.function == EVERY_DRAW:
            mark = options.get("threshold", 1.0)
            found.append(PassAll(metric=metric.name, of=options["of"], k=options["repeats"], mark=mark))
        elif metric.function == CONSISTENCY:
            alike = close_text if options.get("by") == "close" else same_text
            found.append(Consistency(metric=metric.name, alike=alike))
    return tuple(found)


def build_labelled(study: LoadedStudy, evaluators: Sequence[Evaluator]) -> tuple[LabelledAnswer, ...]:
    """Return the answers that people have graded, each with the evaluator of its metric; none without evaluators."""
    whole = [evaluator.inner if isinstance(evaluator, Focused) else evaluator for evaluator in evaluators]
    judges = {evaluator.metric: evaluator for evaluator in whole if isinstance(evaluator, AssertEvaluator)}
    return tuple(
        LabelledAnswer(case=each.case, text=each.answer, judge=judges[each.metric])
        for each in study.labels
        if each.metric in judges
    )


def _asserting(
    metric: Metric, study: LoadedStudy, graders: Mapping[str, Grader], *, takes_unnamed: bool
) -> AssertEvaluator:
    asserts, threshold = metric.options.get("assert", ()), metric.options.get("threshold")
    if metric.function != ASSERT:
        own = {key: metric.options[key] for key in _OF_ASSERTION if key in metric.options}
        asserts, threshold = ({"type": metric.function, **own},), None
    return AssertEvaluator(
        metric=metric.name,
        asserts=asserts,
        takes_unnamed=takes_unnamed,
        threshold=threshold,
        graders=graders,
        files=study.files,
    )


def _graders(study: LoadedStudy, helpers: Helpers) -> Mapping[str, Grader]:
    graders: dict[str, Grader] = {}
    if helpers.judge is not None:
        graders[JUDGED] = helpers.judge.grade
    if helpers.similarity is not None:
        graders[EMBEDDED] = helpers.similarity.grade
    asserted = every_assertion(study.metrics, study.all_cases)
    scripts = [each["value"] for each in asserted if bare_type(each["type"]) == "python"]
    if scripts:
        python = PythonGrader(folder=study.directory, files=study.files)
        for script in scripts:
            python.load(script)
        graders["python"] = python.grade
    return graders
