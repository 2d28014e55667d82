"""The judge's examination: it grades answers that people have graded, before the search relies on it."""

from convergence_cluster.bootstrap.assembly import Assembly
from convergence_cluster.coordinator.rounds import Rounds
from convergence_cluster.domain.search import BASELINE, CALIBRATION, Block
from convergence_cluster.reports.agreement import agreement
from convergence_cluster.spec.loading import LoadedStudy

_MARK = 0.5


def calibrate(assembly: Assembly, study: LoadedStudy) -> Rounds:
    """Let the judges grade every labelled answer that has no grade yet, as far as the budget goes.

    The calls have the baseline's name; no configuration has a part in them.
    """
    blocks = [
        Block(arm=BASELINE, configuration=study.baseline, cases=(case,), operator=CALIBRATION)
        for case in _cases(study)
        if (BASELINE, case, 0) not in assembly.coordinator.outcomes
    ]
    return assembly.coordinator.extra_rounds(blocks)


def agreements(assembly: Assembly, study: LoadedStudy) -> tuple[str, ...]:
    """Return a sentence for each metric with labels."""
    by_metric: dict[str, list[tuple[float | None, float]]] = {}
    for case, labelled in zip(_cases(study), study.labels, strict=True):
        outcome = assembly.coordinator.outcomes.get((BASELINE, case, 0))
        value = None if outcome is None else outcome.metrics.get(labelled.metric)
        by_metric.setdefault(labelled.metric, []).append((value, labelled.label))
    marks = {metric.name: metric.options.get("threshold", _MARK) for metric in study.metrics}
    return tuple(agreement(name, graded, mark=marks[name]) for name, graded in by_metric.items())


def _cases(study: LoadedStudy) -> range:
    return range(len(study.all_cases), len(study.all_cases) + len(study.labels))
