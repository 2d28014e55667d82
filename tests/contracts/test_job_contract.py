"""APIs that take longer than a request, over a real socket and through the study's own keys."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from convergence_cluster.bootstrap.providers import build_endpoint
from convergence_cluster.domain.calls import Answer, Request, TestCase
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import ConvergenceError, PermanentError, TransientError
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.providers.http import HttpTransport
from convergence_cluster.spec.schema_api import ApiSection
from convergence_cluster.trials.protocols import Provider
from tests.contracts.job_server import Jobs, job_server

KEY = "sk-canary-1b5e9c7d4f"
POLLING: dict[str, Any] = {
    "poll": "/jobs/{{ submitted.id }}",
    "done_when": "body.state == 'done'",
    "fail_when": "body.state == 'failed'",
    "result": "/jobs/{{ polled.id }}/output",
    "cancel": "/jobs/{{ submitted.id }}/cancel",
    "interval_seconds": 0.02,
    "timeout_seconds": 5,
}
COST = [{"path": "seconds", "per_unit": 0.01}]
REQUEST = Request(
    configuration={"quality": 7}, case=TestCase(id=CaseId("one"), input={"file": "a.png"}), idempotency_key="s:0:0:0"
)


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    with job_server() as running:
        yield running


def api_of(jobs: Jobs, **changes: Any) -> ApiSection:
    document: dict[str, Any] = {
        "name": "x",
        "endpoint": f"{jobs.url}/jobs",
        "auth": {"type": "bearer", "token_env": "THE_KEY"},
        "response": {"result_field": "text", "cost": COST},
        "polling": POLLING,
        "cleanup": "/jobs/{{ submitted.id }}",
    }
    return ApiSection.model_validate({**document, **changes})


async def with_provider(api: ApiSection, act: Any) -> Any:
    clock, environ = SystemClock(), {"THE_KEY": KEY}
    transport = HttpTransport(clock=clock, environ=environ)
    provider = build_endpoint(api, api.endpoint or "", transport=transport, environ=environ, clock=clock)
    try:
        return await act(provider)
    finally:
        await provider.close()


def run(api: ApiSection) -> Answer:
    async def act(provider: Provider) -> Answer:
        return await provider.send(REQUEST)

    answer: Answer = asyncio.run(with_provider(api, act))
    return answer


def failure_of(api: ApiSection) -> ConvergenceError:
    with pytest.raises(ConvergenceError) as caught:
        run(api)
    return caught.value


def test_a_job_is_submitted_polled_fetched_and_cleaned_up(jobs: Jobs) -> None:
    answer = run(api_of(jobs))

    assert answer.text == "converted"
    assert answer.cost_usd == pytest.approx(0.015)
    assert jobs.requests() == [
        "POST /jobs",
        "GET /jobs/j0",
        "GET /jobs/j0",
        "GET /jobs/j0/output",
        "DELETE /jobs/j0",
    ]
    assert jobs.seen[0][3] == {"file": "a.png", "quality": 7}
    assert jobs.seen[0][2]["idempotency-key"] == "s:0:0:0"
    assert [headers["authorization"] for _, _, headers, _ in jobs.seen] == [f"Bearer {KEY}"] * 5


def test_the_latency_is_the_whole_jobs(jobs: Jobs) -> None:
    jobs.n_polls = 5

    answer = run(api_of(jobs))

    assert 0.1 <= answer.latency_s < 1.0


def test_without_a_result_step_the_last_poll_has_the_result(jobs: Jobs) -> None:
    jobs.end = {"state": "done", "text": "from the poll", "seconds": 2}
    polling = {name: value for name, value in POLLING.items() if name != "result"}

    answer = run(api_of(jobs, polling=polling))

    assert answer.text == "from the poll"
    assert answer.cost_usd == pytest.approx(0.02)


def test_a_cost_may_stand_in_any_answer_of_the_job(jobs: Jobs) -> None:
    cost = [{"path": "billed_seconds", "per_unit": 0.1, "step": "cleanup"}, {"path": "extra", "required": False}]

    answer = run(api_of(jobs, response={"result_field": "text", "cost": cost}))

    assert answer.cost_usd == pytest.approx(0.15)


def test_a_required_cost_that_is_not_there_makes_the_cost_unknown(jobs: Jobs) -> None:
    cost = [{"path": "seconds"}, {"path": "extra"}]

    assert run(api_of(jobs, response={"result_field": "text", "cost": cost})).cost_usd is None


def test_a_failed_job_is_cleaned_up_and_costs_what_it_says(jobs: Jobs) -> None:
    jobs.end = {"state": "failed", "message": "not a picture", "seconds": 3}

    caught = failure_of(api_of(jobs))

    assert isinstance(caught, PermanentError)
    assert "the job failed: not a picture" in str(caught)
    assert caught.answer is not None
    assert caught.answer.cost_usd == pytest.approx(0.03)
    assert jobs.requests()[-1] == "DELETE /jobs/j0"
    assert "POST /jobs/j0/cancel" not in jobs.requests()


def test_a_job_that_takes_too_long_is_cancelled_and_cleaned_up(jobs: Jobs) -> None:
    jobs.n_polls = 10_000

    caught = failure_of(api_of(jobs, polling={**POLLING, "timeout_seconds": 0.2}))

    assert isinstance(caught, TransientError)
    assert (caught.kind, "not done within 0.2 s" in str(caught)) == ("unknown", True)
    assert jobs.requests()[-2:] == ["POST /jobs/j0/cancel", "DELETE /jobs/j0"]


def test_polls_that_fail_in_passing_do_not_lose_the_job(jobs: Jobs) -> None:
    jobs.poll_statuses = [503, 429, 502]

    assert run(api_of(jobs)).text == "converted"
    assert jobs.requests().count("POST /jobs") == 1


def test_polls_that_fail_for_good_give_the_job_up(jobs: Jobs) -> None:
    jobs.poll_statuses = [404]

    caught = failure_of(api_of(jobs))

    assert isinstance(caught, PermanentError)
    assert caught.answer is not None
    assert caught.answer.cost_usd is None
    assert not caught.is_unsent
    assert jobs.requests()[-2:] == ["POST /jobs/j0/cancel", "DELETE /jobs/j0"]


def test_a_missing_result_is_an_error_that_costs_what_the_answer_says(jobs: Jobs) -> None:
    jobs.result = {"seconds": 4}

    caught = failure_of(api_of(jobs))

    assert isinstance(caught, PermanentError)
    assert "no result at 'text'" in str(caught)
    assert caught.answer is not None
    assert caught.answer.cost_usd == pytest.approx(0.04)


def test_a_poll_that_cannot_be_written_leaves_the_job_one_that_was_sent(jobs: Jobs) -> None:
    caught = failure_of(api_of(jobs, polling={**POLLING, "poll": "/jobs/{{ submitted.nope }}"}))

    assert "nope" in str(caught)
    assert jobs.requests()[0] == "POST /jobs"
    assert not caught.is_unsent


@pytest.mark.parametrize("n_cancelled", [1, 3])
def test_a_call_that_is_cancelled_cancels_its_job_and_cleans_up(jobs: Jobs, n_cancelled: int) -> None:
    jobs.n_polls = 10_000

    async def act(provider: Provider) -> None:
        task = asyncio.create_task(provider.send(REQUEST))
        while len(jobs.seen) < 2:
            await asyncio.sleep(0.01)
        for _ in range(n_cancelled):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(with_provider(api_of(jobs), act))

    assert jobs.requests()[-2:] == ["POST /jobs/j0/cancel", "DELETE /jobs/j0"]


def test_a_key_goes_to_no_host_that_only_an_answer_names(jobs: Jobs) -> None:
    with job_server() as elsewhere:
        jobs.url, own = elsewhere.url, jobs.url
        elsewhere.polls_left["j0"] = 1
        polling = {**POLLING, "poll": "{{ submitted.links.self }}", "result": f"{own}/jobs/{{{{ polled.id }}}}/output"}
        api = api_of(jobs, endpoint=f"{own}/jobs", polling=polling, cleanup=f"{own}/jobs/{{{{ submitted.id }}}}")

        answer = run(api)

    assert answer.text == "converted"
    assert [method for method, _, _, _ in elsewhere.seen] == ["GET"]
    assert "authorization" not in elsewhere.seen[0][2]
    assert all("authorization" in headers for _, _, headers, _ in jobs.seen)


def test_a_host_that_the_parameters_name_gets_the_key(jobs: Jobs) -> None:
    api = api_of(jobs, endpoint=jobs.url.replace("127.0.0.1", "127.0.0.{{ params.host }}") + "/jobs")
    request = replace(REQUEST, configuration={"host": 1})

    async def act(provider: Provider) -> Answer:
        return await provider.send(request)

    assert asyncio.run(with_provider(api, act)).text == "converted"
    assert all("authorization" in headers for _, _, headers, _ in jobs.seen)


def test_short_jobs_are_timed_as_well_as_long_ones(jobs: Jobs) -> None:
    """The longest pause would be ten times what the job takes."""
    jobs.takes_s = 0.5

    answer = run(api_of(jobs, polling={**POLLING, "interval_seconds": 5}))

    assert 0.5 <= answer.latency_s < 1.2


def test_without_polling_a_call_is_cleaned_up_after(jobs: Jobs) -> None:
    api = api_of(jobs, polling=None, response={"result_field": "id"})

    assert run(api).text == "j0"
    assert jobs.requests() == ["POST /jobs", "DELETE /jobs/j0"]


def test_where_a_job_is_may_stand_in_a_header_alone(jobs: Jobs) -> None:
    jobs.is_terse = True
    place = "{{ headers.submitted['operation-location'] }}"
    polling = {**POLLING, "poll": place, "cancel": None}

    answer = run(api_of(jobs, polling=polling, cleanup=place))

    assert answer.text == "converted"
    assert jobs.requests()[1] == "GET /jobs/j0?api-version=7"
    assert jobs.requests()[-1] == "DELETE /jobs/j0?api-version=7"
    assert all("authorization" in headers for _, _, headers, _ in jobs.seen)


def test_a_submission_may_stand_among_the_jobs_requests(jobs: Jobs) -> None:
    submit = {"url": "/jobs", "body": {"input": "{{ case.file }}"}}

    assert run(api_of(jobs, polling={**POLLING, "submit": submit})).text == "converted"
    assert jobs.seen[0][3] == {"input": "a.png"}


@pytest.mark.parametrize("status", [200, 404, 410])
def test_a_cleanup_may_answer_with_no_json_or_find_nothing(
    jobs: Jobs, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs.cleanup = (status, "OK")

    answer = run(api_of(jobs))

    assert answer.text == "converted"
    assert jobs.requests().count("DELETE /jobs/j0") == 1
    assert "cleanup.failed" not in capsys.readouterr().out


def test_a_cleanup_that_is_refused_in_passing_is_repeated(jobs: Jobs) -> None:
    jobs.cleanup_statuses = [503, 429]

    run(api_of(jobs))

    assert jobs.requests().count("DELETE /jobs/j0") == 3


def test_a_cleanup_that_fails_is_logged_and_costs_no_answer(jobs: Jobs, capsys: pytest.CaptureFixture[str]) -> None:
    answer = run(api_of(jobs, cleanup="/jobs/{{ submitted.nothing }}"))

    assert answer.text == "converted"
    assert "cleanup.failed" in capsys.readouterr().out
