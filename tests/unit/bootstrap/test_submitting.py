"""What somebody who watches a study of a cluster is told."""

import threading
from pathlib import Path

import pytest

from convergence_cluster.bootstrap import submitting
from convergence_cluster.bootstrap.progress_text import dump_failure
from convergence_cluster.bootstrap.submitting import ClusterClient
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.identity import StudyId
from convergence_cluster.settings import read_settings, sqlite_url
from convergence_cluster.storage.database import open_database
from convergence_cluster.storage.submissions import Submissions

STUDY = StudyId("late-1")


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClusterClient:
    monkeypatch.setattr(submitting, "_POLL_S", 0.02)
    monkeypatch.setattr(submitting, "_LATE_S", 5.0)
    environ = {"CONVERGENCE_DATABASE_URL": sqlite_url(tmp_path / "cluster.db"), "HOME": str(tmp_path)}
    return ClusterClient(read_settings(environ), environ=environ, clock=SystemClock())


def test_why_a_study_stopped_is_waited_for_if_it_is_told_after_the_end(client: ClusterClient) -> None:
    def tell() -> None:
        database = open_database(client._settings.database_url)
        Submissions(database).show_all({STUDY: dump_failure("the API refuses every further call: no key")}, now_s=1.0)
        database.close()

    later = threading.Timer(0.2, tell)
    later.start()
    try:
        found = client._late_failure(STUDY)
    finally:
        later.join()

    assert found == "the API refuses every further call: no key"


def test_nobody_waits_long_for_a_reason_that_is_never_told(
    client: ClusterClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submitting, "_LATE_S", 0.1)

    assert client._late_failure(STUDY) is None
