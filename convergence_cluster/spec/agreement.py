"""What is wrong between sections that are valid each by itself."""

from convergence_cluster.domain.space import SearchSpace
from convergence_cluster.spec.problems import Problem, shown, suggestion
from convergence_cluster.spec.schema import StudySpec


def algorithm_problems(spec: StudySpec, space: SearchSpace) -> list[Problem]:
    """Return what is wrong where the algorithm needs a grid."""
    if spec.optimization.algorithm != "grid" or space.candidates is not None:
        return []
    return [
        Problem(
            path=("search_space", "parameters", parameter.name, "step"),
            message="required by algorithm grid: a real number without step has no grid",
        )
        for parameter in space.parameters
        if parameter.grid() is None
    ]


def model_problems(spec: StudySpec, space: SearchSpace) -> list[Problem]:
    """Return what is wrong where each model has its own URL: then every model that is searched needs one."""
    models = spec.api.models
    if models is None or spec.api.endpoint is not None:
        return []
    parameter = next((parameter for parameter in space.parameters if parameter.name == "model"), None)
    if parameter is None:
        message = "required: api.models has a URL for each model, and nothing says which to call"
        return [Problem(path=("search_space", "parameters", "model"), message=message)] if len(models) > 1 else []
    return [
        Problem(
            path=("search_space", "parameters", "model", "values"),
            message=f"{shown(value)}: no such model in api.models{suggestion(str(value), models)}",
        )
        for value in parameter.values
        if value not in models
    ]
