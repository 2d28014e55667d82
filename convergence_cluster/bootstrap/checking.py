"""What a study file says that no call could live up to, told before the first one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from convergence_cluster.bootstrap.dialects import chat_format, provider_kind
from convergence_cluster.bootstrap.scorers import checking_evaluators
from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.errors import ConvergenceError, PermanentError, SpecError
from convergence_cluster.domain.identity import Configuration, Json
from convergence_cluster.domain.space import Parameter, SearchSpace
from convergence_cluster.evaluators.asserting import AssertEvaluator
from convergence_cluster.evaluators.builtin import BuiltinEvaluator
from convergence_cluster.providers.template_names import ROOTS, required_paths
from convergence_cluster.providers.templates import Scope, scope_of
from convergence_cluster.spec.environment import needed_environment
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.problems import Problem, raise_all, shown, suggestion
from convergence_cluster.spec.templated import PROMPT_TEMPLATE, PROMPTS, templates_of

_OF_JOBS = frozenset({"submitted", "polled", "fetched", "cleaned", "headers"})
"""What the templates of a job's later requests see of earlier answers."""

_MAX_CASES_SHOWN = 5


def check_study(study: LoadedStudy) -> None:
    """Refuse a study whose templates name what is not there, or whose test cases cannot be scored.

    Raises:
        SpecError: every problem found, one line each.
    """
    problems = [
        replace(problem, file=study.file, line=study.lines.get(problem.path, 0)) for problem in template_problems(study)
    ]
    raise_all([*problems, *expectation_problems(study)])


def check_worker(study: LoadedStudy, environ: Mapping[str, str]) -> None:
    """Refuse to make calls for a study without its keys, which a worker has from its own surroundings.

    Raises:
        ConvergenceError: a variable that the study names is not set here.
    """
    names = dict.fromkeys(name for _, name, _ in needed_environment(study.spec) if not environ.get(name))
    if names:
        raise ConvergenceError(
            f"its environment lacks {', '.join(names)}; workers have the keys of the environment and the .env that "
            "they were started in: set it there and start them again (on one machine: make down up)"
        )


def template_problems(study: LoadedStudy) -> Iterator[Problem]:
    """Yield what keeps the templates of requests from being rendered, for each configuration and test case."""
    has_steps = study.spec.api.polling is not None or study.spec.api.cleanup is not None
    names = ROOTS | (_OF_JOBS if has_steps else frozenset())
    nothing: Configuration = {}
    scopes = [scope_of(nothing, case) for case in study.all_cases]
    for place, which, source in [
        *((place, "", source) for place, source in templates_of(study.spec)),
        *_prompts(study),
    ]:
        try:
            paths = required_paths(source)
        except SpecError as error:
            yield Problem(path=place, message=f"{which}{error}")
            continue
        for path in paths:
            if path[0] not in names:
                wrong = f"no such name; expected one that begins with {', '.join(f'{name}.' for name in sorted(names))}"
            elif len(path) == 1 or path[0] in _OF_JOBS:
                continue
            elif path[0] == "params":
                wrong = _wrong_with_parameter(path, study.space)
            else:
                wrong = _wrong_with_cases(path, scopes)
            if wrong:
                yield Problem(path=place, message=f"{which}{'.'.join(path)}: {wrong}")


def _prompts(study: LoadedStudy) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Yield where the templates of a chat's user messages stand, which each is, and its text."""
    api, texts = study.spec.api, study.prompts.get(PROMPT_TEMPLATE, {})
    endpoint = api.endpoint or ""
    if chat_format(provider_kind(api, endpoint), endpoint) is None:
        return
    for parameter in study.space.parameters:
        for value in parameter.values if parameter.name == PROMPT_TEMPLATE else ():
            if isinstance(value, str):
                yield PROMPTS, f"{shown(value)}: ", texts.get(value, value)


def expectation_problems(study: LoadedStudy) -> Iterator[Problem]:
    """Yield the test cases that a metric could compare no answer with, by what they expect; a few a metric."""
    for evaluator in checking_evaluators(study):
        wrong = [(case, message) for case in study.all_cases if (message := _unfit(evaluator, case)) is not None]
        for case, message in wrong[:_MAX_CASES_SHOWN]:
            file, line = study.place_of_case(case.id)
            yield Problem(path=(), message=message, file=file or study.file, line=line)
        if len(wrong) > _MAX_CASES_SHOWN:
            n_more = len(wrong) - _MAX_CASES_SHOWN
            yield Problem(path=(), message=f"metric {evaluator.metric!r}: the same of {n_more} more", file=study.file)


def _unfit(evaluator: BuiltinEvaluator | AssertEvaluator, case: TestCase) -> str | None:
    try:
        evaluator.check(case)
    except PermanentError as error:
        return f"{error}; correct it, or give the metric a `value` that is expected of every answer"
    return None


def _wrong_with_parameter(path: Sequence[str], space: SearchSpace) -> str:
    known = {parameter.name: parameter for parameter in space.parameters}
    name = path[1]
    if name not in known:
        return f"no such parameter{suggestion(name, known)}"
    without = [candidate for candidate in space.candidates or () if name not in candidate]
    if without:
        return f"the candidate {shown(dict(without[0]))} has no {name}; {_cure(path)}"
    if space.candidates is None and _may_be_absent(known[name], known):
        return f"{name} has a condition, and is absent where that does not hold; {_cure(path)}"
    values = known[name].values if len(path) > 2 else ()  # noqa: PLR2004 (`params` and the name)
    lacking = [value for value in values if not _has(value, path[2:])]
    return f"{shown(lacking[0])} has no {'.'.join(path[2:])}; {_cure(path)}" if lacking else ""


def _may_be_absent(parameter: Parameter, known: Mapping[str, Parameter]) -> bool:
    return any(
        _may_be_absent(known[name], known) or not all(value in values for value in known[name].grid() or (None,))
        for name, values in (parameter.when or {}).items()
    )


def _wrong_with_cases(path: Sequence[str], scopes: Sequence[Scope]) -> str:
    lacking = [scope for scope in scopes if not _has(scope, path)]
    if len(lacking) == len(scopes):
        return f"no test case has it{suggestion(path[1], scopes[0]['input'])}"
    first = lacking[0]["case"]["id"] if lacking else ""
    return f"{len(lacking)} of {len(scopes)} test cases lack it, {first!r} the first; {_cure(path)}" if lacking else ""


def _has(value: Json, path: Sequence[str]) -> bool:
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return False
        value = value[step]
    return True


def _cure(path: Sequence[str]) -> str:
    return f"write `{{{{ {'.'.join(path)} | default(omit) }}}}`, which leaves it out there"
