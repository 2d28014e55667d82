"""The study that an earlier sitting began, as it is to go on now."""

import json
from dataclasses import replace
from pathlib import Path

from convergence_cluster.domain.errors import Conflict
from convergence_cluster.domain.identity import digest
from convergence_cluster.spec.loading import LoadedStudy, load_study
from convergence_cluster.spec.portable import unpack
from convergence_cluster.storage.studies import StudyRecord


def stored_study(record: StudyRecord) -> LoadedStudy:
    """Return the study as it was when it began; no file is read."""
    return unpack(json.loads(record.spec_json)["study"])


def current_study(record: StudyRecord) -> LoadedStudy:
    """Return the study with the budget, pace and output that its file asks for now; as it began where the file is gone.

    Raises:
        Conflict: the file is another study now.
    """
    stored = stored_study(record)
    path = Path(record.source_path) if record.source_path else None
    if path is None or not path.is_file():
        return stored
    study = with_seed(load_study(path), stored.spec.optimization.seed)
    if study.digest != record.digest:
        raise Conflict(
            f"Study {record.id} cannot go on: {path}, or a file that it names, changed since. Restore it, or run the "
            "changed file as a new study: it starts from what this one learned if this one has finished."
        )
    return study


def with_seed(study: LoadedStudy, seed: int) -> LoadedStudy:
    """Return the study with another seed of the search; its split of the cases stays."""
    if seed == study.spec.optimization.seed:
        return study
    optimization = study.spec.optimization.model_copy(update={"seed": seed})
    spec = study.spec.model_copy(update={"optimization": optimization})
    return replace(study, spec=spec, digest=digest([study.digest, seed]))
