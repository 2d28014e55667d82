"""Builds what turns answers into metrics."""

from collections.abc import Iterator, Mapping

from convergence_cluster.domain.identity import Json
from convergence_cluster.evaluators.asserting import AssertEvaluator, Grader
from convergence_cluster.evaluators.builtin import BuiltinEvaluator
from convergence_cluster.evaluators.custom import CustomEvaluator
from convergence_cluster.evaluators.scripts import PythonGrader
from convergence_cluster.spec.assertions import bare_type
from convergence_cluster.spec.functions import ASSERT, ASSERTED, CUSTOM
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.metrics import Metric
from convergence_cluster.trials.protocols import Evaluator

_MEASURED = "measured"
_OF_ASSERTION = ("value", "n", "threshold")


def build_evaluators(study: LoadedStudy) -> list[Evaluator]:
    """Return what scores answers: one evaluator a metric, and the user's own for all of its metrics.

    Raises:
        SpecError: a Python file of the study cannot be loaded.
    """
    graders = _graders(study)
    counting = [metric.name for metric in study.metrics if metric.function == ASSERT]
    evaluators: list[Evaluator] = []
    for metric in study.metrics:
        if metric.function == ASSERT or bare_type(metric.function) in ASSERTED:
            evaluators.append(_asserting(metric, study, graders, takes_unnamed=metric.name in counting[:1]))
        elif metric.function not in {_MEASURED, CUSTOM}:
            options = metric.options
            evaluators.append(BuiltinEvaluator(metric=metric.name, function=metric.function, options=options))
    custom = [metric.name for metric in study.metrics if metric.function == CUSTOM]
    if custom:
        assert study.evaluator is not None
        evaluators.append(CustomEvaluator(path=study.evaluator.path, function=study.evaluator.function, metrics=custom))
    return evaluators


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


def _graders(study: LoadedStudy) -> Mapping[str, Grader]:
    scripts = [each["value"] for each in _assertions(study) if bare_type(each["type"]) == "python"]
    if not scripts:
        return {}
    python = PythonGrader(folder=study.directory, files=study.files)
    for script in scripts:
        python.load(script)
    return {"python": python.grade}


def _assertions(study: LoadedStudy) -> Iterator[Mapping[str, Json]]:
    """Yield every assertion of a study: of its metrics and of its cases, those in sets too."""
    given = [{"type": metric.function, **metric.options} for metric in study.metrics]
    waiting = [*given, *(each for case in study.all_cases for each in case.asserts)]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += each.get("assert", ())
