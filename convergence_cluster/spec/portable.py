"""A loaded study as one JSON value, for workers and for resuming where its files are not, or have changed."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from convergence_cluster.domain.calls import TestCase
from convergence_cluster.domain.errors import SpecError
from convergence_cluster.domain.identity import CaseId, Json
from convergence_cluster.spec.evaluator_file import EvaluatorSource
from convergence_cluster.spec.labels import Labelled
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.metrics import to_metrics, to_objectives
from convergence_cluster.spec.schema import StudySpec
from convergence_cluster.spec.space import to_search_space

VERSION: Final = 1
"""Of the form below; one that is not known is refused."""


def pack(study: LoadedStudy) -> Json:
    """Return the study with everything it names, as JSON. Holds no secret, only names of environment variables."""
    return {
        "version": VERSION,
        "spec": study.spec.document(),
        "file": study.file,
        "directory": str(study.directory.resolve()),
        "candidates": None if study.space.candidates is None else [dict(each) for each in study.space.candidates],
        "baseline": dict(study.baseline),
        "cases": [asdict(case) for case in study.all_cases],
        "n_holdout": len(study.holdout),
        "prompts": {name: dict(texts) for name, texts in study.prompts.items()},
        "evaluator": _packed(study.evaluator),
        "target": _packed(study.target),
        "files": dict(study.files),
        "labels": [asdict(labelled) for labelled in study.labels],
        "notes": list(study.notes),
        "digest": study.digest,
        "stands_for": study.stands_for,
    }


def unpack(document: Json) -> LoadedStudy:
    """Return the study that `pack` wrote, without reading any file.

    Raises:
        SpecError: written by another version of the product.
    """
    if not isinstance(document, Mapping) or document.get("version") != VERSION:
        message = "the stored study was written by another version; load its file again"
        raise SpecError(message)
    spec = StudySpec.model_validate(document["spec"])
    cases = tuple(_case(case) for case in document["cases"])
    n_searched = len(cases) - document["n_holdout"]
    evaluator = _evaluator(document["evaluator"])
    prompts = document["prompts"]
    files = {name: tuple(texts) for name, texts in prompts.items()}
    space, _ = to_search_space(spec.search_space, prompts=files, candidates=document["candidates"])
    metrics, _, _ = to_metrics(spec.evaluation, cases, has_evaluator=evaluator is not None)
    return LoadedStudy(
        spec=spec,
        file=document["file"],
        directory=Path(document["directory"]),
        space=space,
        baseline=document["baseline"],
        cases=cases[:n_searched],
        holdout=cases[n_searched:],
        metrics=metrics,
        objectives=to_objectives(spec.evaluation, metrics),
        prompts=prompts,
        evaluator=evaluator,
        target=_evaluator(document.get("target")),
        files=document.get("files", {}),
        labels=tuple(Labelled(**{**each, "case": _case(each["case"])}) for each in document.get("labels", ())),
        notes=tuple(document["notes"]),
        digest=document["digest"],
        stands_for=document.get("stands_for"),
    )


def _case(given: Mapping[str, Json]) -> TestCase:
    return TestCase(
        **{**given, "id": CaseId(given["id"]), "tags": tuple(given["tags"]), "asserts": tuple(given.get("asserts", ()))}
    )


def _packed(source: EvaluatorSource | None) -> Json:
    return None if source is None else {**asdict(source), "path": str(source.path.resolve())}


def _evaluator(given: Mapping[str, Json] | None) -> EvaluatorSource | None:
    return None if given is None else EvaluatorSource(**{**given, "path": Path(given["path"])})
