"""A coordinator that studies come to and go from needs no more memory for it."""

from pathlib import Path

import pytest

from benchmarks.soak import soak
from tests.cluster_runs import PATIENT_S, cluster
from tests.postgres import postgres_server

MOST_MORE_MB = 10.0


@pytest.mark.long
def test_memory_stays_flat_while_studies_come_and_go(tmp_path: Path) -> None:
    with postgres_server() as postgres, cluster(tmp_path, database_url=postgres.new_database()) as started:
        started.coordinator(CONVERGENCE_LEASE_S=str(PATIENT_S), CONVERGENCE_LOG_LEVEL="warning")
        marks = soak(started, n_studies=30, n_calls=2_000)
    settled, end = marks[2][1], marks[-1][1]
    assert marks[-1][0] == 30
    assert end <= settled + MOST_MORE_MB, marks
