"""Invariant: a study that is stopped leaves no job behind, however it is stopped short of being killed."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.job_server import Jobs, job_server
from tests.study_runs import Folder, wait_until

STUDY: dict[str, Any] = {
    "api": {
        "name": "jobs",
        "request": {"body": {"text": "{{ case.text }}", "level": "{{ params.level }}"}},
        "polling": {
            "poll": "/jobs/{{ submitted.id }}",
            "done_when": "body.state == 'done'",
            "cancel": "/jobs/{{ submitted.id }}/cancel",
            "interval_seconds": 0.1,
            "timeout_seconds": 120,
        },
        "cleanup": "/jobs/{{ submitted.id }}",
    },
    "search_space": {"parameters": {"level": list(range(1, 10))}},
    "evaluation": {
        "test_cases": [{"input": {"text": str(n)}, "expected": "x"} for n in range(20)],
        "metrics": {"quality": {"function": "contains"}},
    },
    "budget": {"calls": 500},
}


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    with job_server() as running:
        running.n_polls = 1_000_000
        yield running


@pytest.mark.parametrize("n_workers", [4, 32], ids=["one process", "two processes"])
def test_a_second_ctrl_c_ends_every_job_that_is_under_way(jobs: Jobs, tmp_path: Path, n_workers: int) -> None:
    folder = Folder(path=tmp_path)
    execution = {"execution": {"parallel_workers": n_workers}}
    folder.write({**STUDY, "api": {**STUDY["api"], "endpoint": f"{jobs.url}/jobs"}, "optimization": execution})

    process = folder.start("optimize", "study.yaml")
    try:
        wait_until(lambda: len(jobs.polls_left) >= n_workers)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()

    submitted = sorted(jobs.polls_left)
    wait_until(lambda: len(ended(jobs, "DELETE", "")) == len(submitted), timeout_s=20.0)
    assert ended(jobs, "DELETE", "") == ended(jobs, "POST", "/cancel") == submitted


def ended(jobs: Jobs, method: str, suffix: str) -> list[str]:
    """Return the jobs that were sent this request."""
    seen = [path.removeprefix("/jobs/") for how, path, _, _ in jobs.seen if how == method and path != "/jobs"]
    return sorted(path.removesuffix(suffix) for path in seen if path.endswith(suffix))
