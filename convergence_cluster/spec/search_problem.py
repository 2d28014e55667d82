"""A loaded study as the question that a search is asked."""

from convergence_cluster.domain.search import Legacy, SearchProblem, Stopping
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.schema import StudySpec


def to_search_problem(study: LoadedStudy, *, legacy: Legacy | None = None) -> SearchProblem:
    """Return what the search may know before the first call.

    A study that goes on must be asked with the same parallelism and call budget as at its start, or it would decide
    otherwise than its journal says.
    """
    optimization = study.spec.optimization
    return SearchProblem(
        space=study.space,
        n_cases=len(study.cases),
        objectives=study.objectives,
        baseline=study.baseline,
        case_weights=_weights(study),
        case_tags=_strata(study),
        max_calls=max(1, study.max_calls // study.n_draws),
        parallelism=optimization.execution.parallel_workers,
        max_repeats=optimization.execution.repeats,
        stopping=to_stopping(study.spec),
        legacy=legacy or Legacy(),
        settings={
            "mab": optimization.mab.model_dump(exclude_unset=True),
            "evolution": optimization.evolution.model_dump(exclude_unset=True),
        },
        seed=optimization.seed,
    )


def to_stopping(spec: StudySpec) -> Stopping:
    """Return when enough is known."""
    given = spec.optimization.execution.early_stopping
    return Stopping(
        enabled=given.enabled,
        confidence=given.confidence or spec.optimization.mab.confidence_level,
        within=given.within,
        patience=given.patience,
        min_improvement=given.min_improvement,
    )


def _weights(study: LoadedStudy) -> tuple[float, ...] | None:
    weights = tuple(case.weight for case in study.cases)
    return weights if len(set(weights)) > 1 else None


def _strata(study: LoadedStudy) -> tuple[str, ...] | None:
    strata = tuple(" ".join(case.tags) for case in study.cases)
    return strata if len(set(strata)) > 1 else None
