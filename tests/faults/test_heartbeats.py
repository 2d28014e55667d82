"""Probes look at a file. Invariant: it is touched while a process is well, and that Redis is away is no illness."""

import time
from pathlib import Path

from tests.cluster_runs import cluster, wait_for_workers
from tests.study_runs import wait_until

AWAY_S = 20.0


def age_s(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def test_heartbeats_go_on_while_redis_is_away(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("coordinator-beat", "worker-beat")}
    with cluster(tmp_path) as running:
        running.coordinator(CONVERGENCE_HEARTBEAT_FILE=str(files["coordinator-beat"]))
        running.worker(CONVERGENCE_HEARTBEAT_FILE=str(files["worker-beat"]))
        wait_for_workers(running, 1)
        wait_until(lambda: all(path.exists() for path in files.values()))

        running.broker.kill()
        time.sleep(AWAY_S)
        ages = {name: age_s(path) for name, path in files.items()}
        running.broker.start()

        assert max(ages.values()) < AWAY_S / 2, ages
        wait_for_workers(running, 1)
