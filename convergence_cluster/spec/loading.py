"""A study file and everything it names, read once and checked together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.identity import Configuration, Json, digest
from convergence_cluster.domain.search import Objective
from convergence_cluster.domain.space import ParameterKind, SearchSpace
from convergence_cluster.spec.agreement import algorithm_problems, model_problems
from convergence_cluster.spec.augmenting import augmented
from convergence_cluster.spec.baseline import baseline
from convergence_cluster.spec.candidates import candidate_problems, distinct, read_candidates
from convergence_cluster.spec.cases import DEFAULT_FILE, Cases, FindCase, cases_of, load_cases, nowhere, split
from convergence_cluster.spec.document import Document, parse
from convergence_cluster.spec.environment import helpers_of, needed_environment
from convergence_cluster.spec.evaluator_file import EvaluatorSource, find_evaluator, find_function
from convergence_cluster.spec.files import Row, read_document
from convergence_cluster.spec.functions import CUSTOM
from convergence_cluster.spec.labels import Labelled, labels_of_study
from convergence_cluster.spec.metrics import Metric, to_metrics, to_objectives
from convergence_cluster.spec.named_files import read_named
from convergence_cluster.spec.notes import notes_of
from convergence_cluster.spec.problems import InvalidStudyError, Problem, of_file, raise_all
from convergence_cluster.spec.prompts import read_prompts
from convergence_cluster.spec.schema import StudySpec
from convergence_cluster.spec.space import to_search_space
from convergence_cluster.spec.templated import PROMPTS, templates_of
from convergence_cluster.spec.validation import validate

_PRICED: Final = (("budget", "usd"), ("evaluation", "metrics", "cost_usd"))
_WRITTEN: Final = (("output", "save_path"), ("output", "export_best_config"))
_CATEGORICAL: Final = ParameterKind.CATEGORICAL
_NOT_IDENTITY: Final = {"budget", "output", "legacy", "society", "weave", "agent", "rate_limiting"}
_NOT_IDENTITY_OF_API: Final = {"description", "auth", "tls", "rate", "prices", "cache"}
_NOT_IDENTITY_OF_HELPER: Final = {"auth", "rate", "prices", "timeout_seconds", "max_retries"}
_NOT_IDENTITY_OF_EXECUTION: Final = {"parallel_workers", "max_retries"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedStudy:
    """A study with everything that it names, checked. Holds no secret."""

    spec: StudySpec
    file: str
    """Name of the study file, for messages."""
    directory: Path
    """What the file's paths are relative to."""
    space: SearchSpace
    baseline: Configuration
    cases: tuple[TestCase, ...]
    """The cases to search on; never empty."""
    holdout: tuple[TestCase, ...]
    """The cases kept for the final comparison."""
    metrics: tuple[Metric, ...]
    objectives: tuple[Objective, ...]
    """One a metric, in the same order."""
    prompts: Mapping[str, Mapping[str, str]]
    """Parameter -> its value (the file's name) -> the text to send."""
    evaluator: EvaluatorSource | None
    target: EvaluatorSource | None = None
    """The function that is called, where the API is one."""
    files: Mapping[str, Json]
    """What assertions name by `file://`: text, or what a JSON or YAML file holds."""
    labels: tuple[Labelled, ...]
    """Answers that people have graded; their indices in calls follow those of the cases."""
    notes: tuple[str, ...]
    """What the user should know: keys without effect, and what was inferred."""
    digest: str
    """Identifies the study: API, space, cases, metrics, evaluator, search, seed; not prices, pace, budget, output."""
    stands_for: str | None = None
    """The endpoint in the file, where `api.endpoint` is a server that was started for it."""
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict, compare=False)
    """Where the keys stand that are judged later: environment variables, prices, templates, folders."""
    place_of_case: FindCase = field(default=nowhere, compare=False, repr=False)
    """Where a test case stands."""

    @property
    def all_cases(self) -> tuple[TestCase, ...]:
        """Every case by its index in calls: those to search on, then those kept for the final comparison."""
        return self.cases + self.holdout

    @property
    def max_calls(self) -> int:
        """The budget's calls, else generations x population_size x cases."""
        evolution = self.spec.optimization.evolution
        return self.spec.budget.calls or (
            evolution.generations * evolution.population_size * len(self.cases) * self.n_draws
        )

    @property
    def n_draws(self) -> int:
        """How many answers are drawn for each configuration and case at once: what the metrics of repeats want."""
        return max((metric.options.get("repeats", 1) for metric in self.metrics), default=1)


def load_study(path: str | Path) -> LoadedStudy:
    """Return the study of a YAML or JSON file. Reads the files it names, runs nothing, needs no key, makes no call.

    Raises:
        SpecError: every problem found, one line each, with file, line, path, value and what was expected.
    """
    file = Path(path)
    return _assemble(read_document(file, file.name), file.parent)


def loads(text: str, *, name: str = "study.yaml", directory: str | Path = ".") -> LoadedStudy:
    """Return the study of a text, as `load_study` does; its paths are relative to `directory`.

    Raises:
        SpecError: as `load_study`.
    """
    return _assemble(parse(text, name), Path(directory))


def _assemble(document: Document, directory: Path) -> LoadedStudy:
    spec = validate(document)
    parts = _Parts(document, directory, spec)
    cases, made = augmented(parts.read_cases(), spec.evaluation.test_cases.augmentation, spec.optimization.seed)
    known_cases = None if parts.problems else cases
    prompts, problems = read_prompts(spec.search_space.parameters, directory)
    parts.add(problems)
    space, chosen = parts.read_space({name: tuple(texts) for name, texts in prompts.items()})
    evaluator, problems = find_evaluator(spec.evaluation.custom_evaluator, directory)
    parts.add(problems)
    target = parts.read_target()
    named = spec.evaluation.custom_evaluator.is_used or evaluator is not None
    metrics, problems, inferred = to_metrics(spec.evaluation, known_cases, has_evaluator=named)
    parts.add(problems)
    if not spec.evaluation.custom_evaluator.is_used and all(metric.function != CUSTOM for metric in metrics):
        evaluator = None  # the file beside the study is none of its parts
    files, problems = read_named(metrics, cases, directory)
    parts.add(problems)
    labels, problems = labels_of_study(document, directory, spec.evaluation, metrics)
    parts.add(problems)
    parts.add([*algorithm_problems(spec, space), *model_problems(spec, space)])
    raise_all(parts.problems)
    searched, kept = split(cases, spec.evaluation.test_cases.holdout, spec.optimization.seed)
    return LoadedStudy(
        spec=spec,
        file=document.name,
        directory=directory,
        space=space,
        baseline=chosen,
        cases=searched,
        holdout=kept,
        metrics=metrics,
        objectives=to_objectives(spec.evaluation, metrics),
        prompts=prompts,
        evaluator=evaluator,
        target=target,
        files=files,
        labels=labels,
        notes=(*notes_of(spec, space, evaluator), *made, *inferred),
        place_of_case=parts.place_of_case,
        lines={path: document.line(path) for path in _judged_later(spec)},
        digest=study_digest(
            spec, space, cases, prompts=prompts, evaluator=evaluator, target=target, files=files, labels=labels
        ),
    )


def study_digest(
    spec: StudySpec,
    space: SearchSpace,
    cases: Sequence[TestCase],
    *,
    prompts: Mapping[str, Mapping[str, str]],
    evaluator: EvaluatorSource | None,
    target: EvaluatorSource | None,
    files: Mapping[str, Json],
    labels: Sequence[Labelled],
) -> str:
    """Return what identifies a study: all that decides what a call means and in which order calls are made."""
    document = {key: value for key, value in spec.document().items() if key not in _NOT_IDENTITY}
    document["api"] = _without(document["api"], _NOT_IDENTITY_OF_API)
    optimization = document.get("optimization", {})
    execution = _without(optimization.get("execution", {}), _NOT_IDENTITY_OF_EXECUTION)
    document["optimization"] = {**optimization, "execution": execution}
    document["evaluation"] = _without(document["evaluation"], {"test_cases"})
    for path, _ in helpers_of(spec):
        document["evaluation"][path[-1]] = _without(document["evaluation"][path[-1]], _NOT_IDENTITY_OF_HELPER)
    asserts = {case.id: case.asserts for case in cases if case.asserts}
    return digest(
        {
            **({"asserts": asserts, "files": files} if asserts or files else {}),
            **({"labels": [asdict(each) for each in labels]} if labels else {}),
            "study": document,
            "holdout": spec.evaluation.test_cases.holdout,
            "candidates": space.candidates,
            "cases": [[c.id, c.input, c.expected, c.weight, c.tags, c.metadata] for c in cases],
            "prompts": prompts,
            "order": [[parameter.name for parameter in space.parameters], list(spec.evaluation.metrics)],
            "evaluator": None if evaluator is None else evaluator.source,
            **({} if target is None else {"target": target.source}),
        }
    )


class _Parts:
    """Reads the parts of a study and collects what is wrong, so that all is reported together."""

    def __init__(self, document: Document, directory: Path, spec: StudySpec) -> None:
        self._document = document
        self._directory = directory
        self._spec = spec
        self.problems: list[Problem] = []
        self.place_of_case: FindCase = nowhere

    def add(self, problems: Sequence[Problem]) -> None:
        """Take problems; those without a file are of the study file."""
        self.problems += [p if p.file else self._document.problem(p.path, p.message) for p in problems]

    def read_cases(self) -> tuple[TestCase, ...]:
        """Return all test cases, none where they can't be read."""
        section = self._spec.evaluation.test_cases
        path = ("evaluation", "test_cases", "path")
        if section.path is None and section.inline is not None:
            given = self._document.value["evaluation"]["test_cases"]
            inline = ("evaluation", "test_cases", *(("inline",) if isinstance(given, dict) else ()))
            return self._cases_found(cases_of(self._document, inline))
        if section.path is None and not (self._directory / DEFAULT_FILE).is_file():
            message = f"required: the file of test cases, or inline cases, or {DEFAULT_FILE} beside the study file"
            self.add([Problem(path=path, message=message)])
            return ()
        name = section.path or DEFAULT_FILE
        try:
            return self._cases_found(load_cases(self._directory / name, name))
        except InvalidStudyError as error:
            self._add_of_file(path, error)
            return ()

    def _cases_found(self, found: Cases) -> tuple[TestCase, ...]:
        self.add(found.problems)
        self.place_of_case = found.place
        return tuple(found.cases)

    def read_target(self) -> EvaluatorSource | None:
        """Return the function that is the API, None where it is none."""
        section = self._spec.api.function
        if section is None:
            return None
        target, problems = find_function(section.module, section.function, self._directory, ("api", "function"))
        self.add(problems)
        return target

    def read_space(self, prompts: Mapping[str, Sequence[str]]) -> tuple[SearchSpace, Configuration]:
        """Return the space and the baseline; of use only where no problem was found."""
        section = self._spec.search_space
        n_before = len(self.problems)
        rows, file = self._read_candidates()
        if len(self.problems) > n_before:
            return SearchSpace(parameters=()), {}
        candidates = None if rows is None else distinct([row for _, row in rows])
        space, problems = to_search_space(section, prompts=prompts, candidates=candidates)
        self.add(problems)
        if rows is not None:
            self.add(candidate_problems(rows, space.parameters, file))
        if problems or any(parameter.kind is _CATEGORICAL and not parameter.values for parameter in space.parameters):
            return space, {}
        chosen, problems = baseline(space, section.baseline)
        self.add(problems)
        return space, chosen

    def _read_candidates(self) -> tuple[list[Row] | None, str]:
        section = self._spec.search_space.candidates
        if section is None:
            return None, ""
        path = ("search_space", "candidates")
        if section.inline is not None:
            given = self._document.value["search_space"]["candidates"]
            inline = path if isinstance(given, list) else (*path, "inline")
            rows = [(self._document.line((*inline, n)), row) for n, row in enumerate(section.inline)]
            return rows, self._document.name
        assert section.path is not None
        try:
            rows, problems = read_candidates(self._directory / section.path, section.path)
        except InvalidStudyError as error:
            self._add_of_file((*path, "path"), error)
            return None, ""
        self.add(problems)
        return rows, section.path

    def _add_of_file(self, path: tuple[str, ...], error: InvalidStudyError) -> None:
        self.add(of_file(path, error))


def _judged_later(spec: StudySpec) -> list[tuple[str | int, ...]]:
    variables = (path for path, _, _ in needed_environment(spec))
    return [*variables, *_PRICED, *_WRITTEN, PROMPTS, *(path for path, _ in templates_of(spec))]


def _without(document: Json, keys: set[str]) -> Json:
    return {key: value for key, value in document.items() if key not in keys}
