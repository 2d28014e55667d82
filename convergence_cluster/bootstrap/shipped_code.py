"""Python that travels with a study: used where it lies if it is the same here, else from a folder of ours."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from convergence_cluster.spec.evaluator_file import EvaluatorSource
from convergence_cluster.spec.loading import LoadedStudy


def with_code(study: LoadedStudy, folder: Path) -> LoadedStudy:
    """Return the study with its evaluator and target where this machine can load them."""
    return replace(study, evaluator=_here(study.evaluator, folder), target=_here(study.target, folder))


def _here(source: EvaluatorSource | None, folder: Path) -> EvaluatorSource | None:
    if source is None or _is_same(source.path, source.source):
        return source
    path = folder / sha256(source.source.encode()).hexdigest()[:16] / source.path.name
    if not _is_same(path, source.source):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source.source, encoding="utf-8")
    return replace(source, path=path)


def _is_same(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False
