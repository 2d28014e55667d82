"""What a user should know about a study that is valid."""

from collections.abc import Mapping

from convergence_cluster.domain.identity import canonical_json
from convergence_cluster.domain.space import ParameterKind, SearchSpace
from convergence_cluster.spec.evaluator_file import EvaluatorSource
from convergence_cluster.spec.schema import StudySpec
from convergence_cluster.spec.section import IGNORED, LATER, Section

_FLAG_WORDS = {"yes", "no", "on", "off", "y", "n"}


def notes_of(spec: StudySpec, space: SearchSpace, evaluator: EvaluatorSource | None) -> list[str]:
    """Return one line for each key without effect and for each thing decided for the user."""
    notes = _keys_without_effect(spec, ())
    optimization = spec.optimization
    if optimization.algorithm in {"genetic", "mab_only"}:
        notes.append(f"optimization.algorithm: {optimization.algorithm} runs as mab_evolution")
    if optimization.mab.strategy in {"epsilon_greedy", "ucb1"}:
        notes.append(f"optimization.mab.strategy: {optimization.mab.strategy} runs as thompson_sampling")
    if evaluator is not None and not spec.evaluation.custom_evaluator.is_used:
        notes.append(
            f"evaluation.custom_evaluator: uses {evaluator.function} of {evaluator.path.name} beside the study file"
        )
    if spec.rate_limiting is not None:
        notes.append("rate_limiting: read as api.rate")
    return notes + _notes_of_space(spec, space)


def _keys_without_effect(section: Section, path: tuple[str, ...]) -> list[str]:
    notes: list[str] = []
    for name in sorted(section.model_fields_set):
        field, value = type(section).model_fields[name], getattr(section, name)
        here = (*path, name)
        if field.json_schema_extra in (LATER, IGNORED):
            if value != field.default and getattr(value, "enabled", value):
                reason = "not acted on yet" if field.json_schema_extra == LATER else f"no effect; {field.description}"
                notes.append(f"{'.'.join(here)}: accepted, {reason}")
        elif isinstance(value, Section):
            notes += _keys_without_effect(value, here)
        elif isinstance(value, Mapping):
            for key, item in value.items():
                notes += _keys_without_effect(item, (*here, key)) if isinstance(item, Section) else []
    return notes


def _notes_of_space(spec: StudySpec, space: SearchSpace) -> list[str]:
    notes = []
    for parameter in space.parameters:
        given = spec.search_space.parameters.get(parameter.name)
        place = f"search_space.parameters.{parameter.name}"
        if parameter.log and given is not None and given.log is None:
            notes.append(f"{place}: searched by ratios, as its range is wide; `log: false` searches by differences")
        words = [value for value in parameter.values if isinstance(value, str) and value.lower() in _FLAG_WORDS]
        if words and len(words) == len(parameter.values):
            notes.append(f"{place}: {', '.join(words)} are text; write true and false for flags")
        if parameter.kind is ParameterKind.CATEGORICAL and len(parameter.values) == 1:
            notes.append(f"{place}: fixed at {canonical_json(parameter.values[0])}")
    return notes
