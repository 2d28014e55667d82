"""A study's record: what is written down when it begins, and by whom."""

import getpass
import json
import os
import socket
from pathlib import Path

from convergence_cluster.bootstrap.remembering import Memory
from convergence_cluster.bootstrap.searching import dump_legacy
from convergence_cluster.domain.clock import Clock
from convergence_cluster.settings import Settings
from convergence_cluster.spec.loading import LoadedStudy
from convergence_cluster.spec.portable import pack
from convergence_cluster.storage.studies import Priority, Studies, StudyRecord


def create_record(
    studies: Studies,
    study: LoadedStudy,
    source: Path | None,
    *,
    settings: Settings,
    clock: Clock,
    priority: Priority | None = None,
) -> StudyRecord:
    """Write down a new study with what it starts from; with a `priority`, queue it for a cluster."""
    legacy, sentence = Memory(study, settings, clock).recall()
    document = {"study": pack(study), "legacy": dump_legacy(legacy), "started_from": sentence}
    return studies.create(
        name=study.spec.api.name,
        digest=study.digest,
        spec_json=json.dumps(document),
        source_path=None if source is None else str(source.absolute()),
        now_s=clock.now_s(),
        priority=priority,
    )


def with_study(record: StudyRecord, study: LoadedStudy) -> str:
    """Return the record's content with the study's budget, pace and output of now."""
    return json.dumps({**json.loads(record.spec_json), "study": pack(study)})


def me() -> str:
    """Name who runs a study, for others to read."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"
