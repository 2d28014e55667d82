"""Whether the results of a study can be written, asked before its first call."""

import os
import tempfile
from pathlib import Path

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.problems import Problem, raise_all

_EXPECTED = "expected a folder that can be made and written to"


def require_writable(study: LoadedStudy, folder: Path | None = None) -> None:
    """Refuse a study whose results could not be written to `folder`, or where it says itself. Leaves nothing behind.

    Raises:
        SpecError: a folder cannot be made or written to.
    """
    if folder is not None and (reason := _refusal(folder)) is not None:
        raise SpecError(f"-o {folder}: {reason}; {_EXPECTED}")
    output = study.spec.output
    folders = {} if folder is not None else {("output", "save_path"): Path(output.save_path)}
    if output.export_best_config is not None and output.export_best_config.enabled:
        folders["output", "export_best_config"] = Path(output.export_best_config.output_path).parent
    problems = [(path, target, _refusal(target)) for path, target in folders.items()]
    raise_all(
        Problem(path=path, message=f"{target}: {reason}; {_EXPECTED}", file=study.file, line=study.lines.get(path, 0))
        for path, target, reason in problems
        if reason is not None
    )


def _refusal(folder: Path) -> str | None:
    """Return why nothing can be written to a folder that may have to be made first."""
    try:
        place = folder.absolute()
        while not os.path.lexists(place):
            place = place.parent
        if not place.is_dir():
            return f"{place} is not a folder"
        with tempfile.TemporaryFile(dir=place):
            return None
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
