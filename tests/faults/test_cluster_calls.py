"""Faults of single calls: of the API, of evaluators, of keys. Invariant I, as far as every call can have an answer."""

import pytest

from convergence_cluster.dispatch.study_queue import MAX_STARTS
from tests.cluster_faults import N_CALLS, Toll, check, check_money, exhaustive
from tests.cluster_runs import Cluster

pytestmark = pytest.mark.long

POISON = """
import os
import signal


def score_response(result, expected, params, metric=None):
    if expected == "poison" and params == {"model": "sim-small", "temperature": 0.1, "max_tokens": 512}:
        os.kill(os.getpid(), signal.SIGKILL)
    return result["x_quality"]
"""


def test_faults_of_the_api_are_retried_within_bounds_and_booked(running: Cluster, toll: Toll) -> None:
    """429, 503, 500, answers cut after they were sent, broken ones, slow ones; each call's third attempt succeeds."""
    shares = {"rate_limited": 0.06, "overloaded": 0.03, "server_error": 0.03, "cut": 0.03, "malformed": 0.03}
    toll.server.faults(**shares, slow=0.05, slow_s=0.3, retry_after_s=0.05, first_attempts=2)
    running.coordinator()
    running.worker()
    running.worker()
    toll.strike(affected=0)

    books = running.finish(running.submit(exhaustive(toll.server, max_retries=3)))

    check(toll, books)
    hits = toll.server.hits()
    assert sum(count > 1 for count in hits.values()) > N_CALLS / 20
    assert max(hits.values()) <= 3


def test_a_call_that_kills_its_worker_is_given_up_and_all_others_finish(running: Cluster, toll: Toll) -> None:
    study = exhaustive(toll.server)
    study["evaluation"]["test_cases"][1]["expected"] = "poison"
    running.coordinator()
    with running.supervised(running.worker, running.worker):
        books = running.finish(running.submit(study, evaluator=POISON))
    for _ in range(MAX_STARTS):
        toll.strike()

    failed = [row for row in books.calls.values() if row["kind"] != "ok"]
    assert [row["kind"] for row in failed] == ["failed"]
    assert f"{MAX_STARTS} workers died with this call" in failed[0]["error"]
    assert len(books.calls) == N_CALLS
    check_money(toll.server, books)
