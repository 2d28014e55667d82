"""Apify, Firecrawl and Browserbase through the study's own keys, over a real socket; sessions with a real browser."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from convergence_cluster.bootstrap.providers import Site, build_site
from convergence_cluster.domain.calls import Answer, Request, TestCase
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.errors import (
    ConvergenceError,
    InfeasibleError,
    PermanentError,
    ProviderStopError,
    TransientError,
)
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.providers.http import HttpTransport
from convergence_cluster.spec.schema_api import ApiSection
from convergence_cluster.trials.protocols import Provider
from tests.automation_server import Automation, automation_server
from tests.browsers import debugged_browser

KEY = "key-canary-1b5e9c7d4f"
PAGE = "<html><title>Shop</title><body><h1>Shop</h1><script>document.title += ' open'</script></body></html>"
AUTH = {"type": "bearer", "token_env": "THE_KEY"}


@pytest.fixture
def server() -> Iterator[Automation]:
    with automation_server() as running:
        yield running


def run(
    server: Automation,
    provider: str,
    path: str,
    case: Mapping[str, Any],
    configuration: Mapping[str, Any] | None = None,
    *,
    max_usd: float | None = None,
    **api: Any,
) -> Answer:
    async def act(adapter: Provider) -> Answer:
        return await adapter.send(request_of(case, configuration or {}))

    answer: Answer = asyncio.run(with_adapter(server, provider, path, act, max_usd=max_usd, **api))
    return answer


def request_of(case: Mapping[str, Any], configuration: Mapping[str, Any]) -> Request:
    test_case = TestCase(id=CaseId("one"), input=case)
    return Request(configuration=configuration, case=test_case, idempotency_key="s:0:0:0")


async def with_adapter(
    server: Automation, provider: str, path: str, act: Any, *, max_usd: float | None = None, **changes: Any
) -> Any:
    auth = {"type": "api_key", "token_env": "THE_KEY"} if provider == "browserbase" else AUTH
    url = server.url + path
    document = {"name": "x", "endpoint": url, "provider": provider, "auth": auth, **changes}
    api = ApiSection.model_validate(document)
    clock, environ = SystemClock(), {"THE_KEY": KEY}
    transport = HttpTransport(clock=clock, environ=environ)
    site = Site(api=api, url=url, transport=transport, environ=environ, clock=clock, max_usd=max_usd)
    adapter = build_site(site)
    try:
        return await act(adapter)
    finally:
        await adapter.close()


# Apify


def test_an_actor_is_run_awaited_read_and_billed(server: Automation) -> None:
    case = {"startUrls": ["https://example.com"]}

    answer = run(server, "apify", "/v2", case, {"actor": "user/scraper", "memory": 512, "maxDepth": 2}, max_usd=0.05)

    assert answer.result == [{"url": "https://example.com", "text": "text of https://example.com"}]
    assert answer.cost_usd == pytest.approx(0.0042)
    assert server.did() == [
        "POST /v2/acts/user~scraper/runs",
        "GET /v2/actor-runs/run0",
        "GET /v2/datasets/d-run0/items",
    ]
    started = server.seen[0]
    assert started.body == {"startUrls": ["https://example.com"], "maxDepth": 2}
    assert started.query == {"memory": "512", "timeout": "300", "maxTotalChargeUsd": "0.05"}
    assert started.headers["authorization"] == f"Bearer {KEY}"
    assert server.seen[1].query == {"waitForFinish": "15"}


@pytest.mark.parametrize("path", ["/v2/acts/user~scraper", "/v2/acts/user~scraper/runs"])
def test_an_actor_may_stand_in_the_url(server: Automation, path: str) -> None:
    run(server, "apify", path, {"startUrls": []}, {"max_items": 5}, polling={"timeout_seconds": 60})

    assert server.did()[:2] == ["POST /v2/acts/user~scraper/runs", "GET /v2/actor-runs/run0"]
    assert server.seen[0].query == {"timeout": "60", "maxItems": "5"}


@pytest.mark.parametrize("status", ["FAILED", "TIMED-OUT", "ABORTED"])
def test_a_run_that_ended_badly_is_billed(server: Automation, status: str) -> None:
    server.run_status = status

    with pytest.raises(PermanentError, match="the job failed") as caught:
        run(server, "apify", "/v2/acts/a~b", {"startUrls": []})

    assert caught.value.answer is not None
    assert caught.value.answer.cost_usd == pytest.approx(0.0042)


def test_a_run_that_is_given_up_is_aborted(server: Automation) -> None:
    server.n_polls = 10_000

    with pytest.raises(TransientError, match="not done within"):
        run(server, "apify", "/v2/acts/a~b", {"startUrls": []}, polling={"timeout_seconds": 0.2})

    assert server.did()[-1] == "POST /v2/actor-runs/run0/abort"


def test_what_the_study_says_of_an_actors_answer_goes_first(server: Automation) -> None:
    response = {"result_field": "[0].text", "cost": {"path": "data.usageTotalUsd", "per_unit": 2, "step": "poll"}}

    answer = run(server, "apify", "/v2/acts/a~b", {"startUrls": ["u"]}, response=response)

    assert answer.text == "text of u"
    assert answer.cost_usd == pytest.approx(0.0084)


# Firecrawl

CREDITS = {"cost": {"path": "data.metadata.creditsUsed", "per_unit": 0.001}}


def test_a_page_is_scraped_fresh_and_its_credits_are_priced(server: Automation) -> None:
    case = {"url": "https://example.com"}

    answer = run(server, "firecrawl", "/v2", case, {"only_main_content": False, "proxy": "stealth"}, response=CREDITS)

    assert answer.text == "text of https://example.com"
    assert answer.cost_usd == pytest.approx(0.005)
    assert server.did() == ["POST /v2/scrape"]
    assert server.seen[0].body == {
        "url": "https://example.com",
        "onlyMainContent": False,
        "proxy": "stealth",
        "maxAge": 0,
    }


def test_without_a_price_for_a_credit_the_cost_is_unknown_and_not_zero(server: Automation) -> None:
    assert run(server, "firecrawl", "/v2/scrape", {"url": "u"}).cost_usd is None


def test_a_page_that_could_not_be_read_is_no_answer(server: Automation) -> None:
    with pytest.raises(PermanentError, match="The page does not exist") as caught:
        run(server, "firecrawl", "/v2/scrape", {"url": "https://missing"})

    assert caught.value.answer is not None


def test_a_body_of_the_study_says_what_of_a_case_is_sent(server: Automation) -> None:
    request = {"body": {"url": "{{ case.url }}", "formats": ["markdown"]}}

    run(server, "firecrawl", "/v2/scrape", {"url": "u", "question": "?"}, {"mobile": True}, request=request)

    assert server.seen[0].body == {"url": "u", "formats": ["markdown"], "mobile": True, "maxAge": 0}


def test_a_crawl_is_a_job(server: Automation) -> None:
    server.n_polls = 2
    response = {"cost": {"path": "creditsUsed", "per_unit": 0.001}}

    answer = run(server, "firecrawl", "/v2/crawl", {"url": "u"}, response=response, polling={"interval_seconds": 0.02})

    assert answer.result == [{"markdown": "one"}, {"markdown": "two"}]
    assert answer.cost_usd == pytest.approx(0.002)
    assert server.did() == ["POST /v2/crawl", "GET /v2/crawl/crawl", "GET /v2/crawl/crawl"]


def test_a_crawl_that_is_given_up_is_cancelled(server: Automation) -> None:
    server.n_polls = 10_000
    polling = {"interval_seconds": 0.02, "timeout_seconds": 0.1}

    with pytest.raises(TransientError):
        run(server, "firecrawl", "/v2/crawl", {"url": "u"}, polling=polling)

    assert server.did()[-1] == "DELETE /v2/crawl/crawl"


# All three refuse in their own words

REFUSALS = [
    ("apify", 401, {"error": {"type": "user-or-token-not-found", "message": "Invalid token"}}, ProviderStopError),
    ("apify", 402, {"error": {"type": "not-enough-usage", "message": "By launching this job"}}, ProviderStopError),
    ("apify", 429, {"error": {"type": "rate-limit-exceeded", "message": "Slow down"}}, TransientError),
    ("apify", 400, {"error": {"type": "invalid-input", "message": "Field input.memory must be 512"}}, InfeasibleError),
    ("firecrawl", 402, {"success": False, "error": "Insufficient credits"}, ProviderStopError),
    ("firecrawl", 408, {"success": False, "error": "Request timed out"}, TransientError),
    ("firecrawl", 429, {"success": False, "error": "Rate limit exceeded"}, TransientError),
    ("firecrawl", 400, {"success": False, "error": "Invalid maxAge: must be an integer"}, InfeasibleError),
    ("browserbase", 401, {"statusCode": 401, "error": "Unauthorized", "message": "Invalid key"}, ProviderStopError),
    ("browserbase", 402, {"statusCode": 402, "message": "Free plan minutes used up"}, ProviderStopError),
    ("browserbase", 429, {"statusCode": 429, "message": "Too many concurrent sessions"}, TransientError),
    ("browserbase", 400, {"statusCode": 400, "message": "blockAds is not allowed on this plan"}, InfeasibleError),
]
PATHS = {"apify": "/v2/acts/a~b", "firecrawl": "/v2/scrape", "browserbase": "/v1/sessions"}


@pytest.mark.parametrize(("provider", "status", "body", "expected"), REFUSALS)
def test_each_refusal_has_its_meaning(
    server: Automation, provider: str, status: int, body: Any, expected: type[ConvergenceError]
) -> None:
    server.refusal = (status, body)

    with pytest.raises(ConvergenceError) as caught:
        run(server, provider, PATHS[provider], {"url": "u"}, {"memory": 256, "max_age": 7, "block_ads": True})

    assert type(caught.value) is expected
    assert KEY not in str(caught.value)
    assert len(server.seen) == 1


# Browserbase

MINUTES = [{"path": "session.browser_minutes", "per_unit": 0.01}, {"path": "session.proxy_gb", "per_unit": 10}]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with debugged_browser(tmp_path_factory.mktemp("browser")) as address:
        yield address


@pytest.fixture
def page(tmp_path: Path) -> str:
    (tmp_path / "shop.html").write_text(PAGE)
    return (tmp_path / "shop.html").as_uri()


def test_a_page_is_visited_in_a_session_that_is_released_and_billed(
    server: Automation, browser: str, page: str
) -> None:
    server.connect_url = browser
    settings = {"viewport": "800x600", "region": "eu-central-1", "block_ads": True}

    answer = run(
        server,
        "browserbase",
        "/v1",
        {"url": page, "script": "document.title"},
        settings,
        response={"cost": MINUTES},
    )

    assert answer.text == "Shop open"
    assert answer.cost_usd == pytest.approx(1.5 * 0.01 + 0.002 * 10)
    assert answer.raw["page"]["load_ms"] > 0.0
    assert answer.raw["session"]["browser_minutes"] == pytest.approx(1.5)
    assert not {"connectUrl", "signingKey"} & answer.raw["session"].keys()
    assert server.seen[0].body == {
        "timeout": 300,
        "region": "eu-central-1",
        "browserSettings": {"viewport": {"width": 800, "height": 600}, "blockAds": True},
    }
    assert all(seen.headers["x-bb-api-key"] == KEY for seen in server.seen)
    assert server.did()[1:] == ["POST /v1/sessions/s0", "GET /v1/sessions/s0"]
    assert server.seen[1].body == {"status": "REQUEST_RELEASE", "projectId": "p1"}


def test_without_a_script_the_pages_text_is_the_result(server: Automation, browser: str, page: str) -> None:
    server.connect_url = browser

    assert run(server, "browserbase", "/v1/sessions", {"url": page}).text.strip() == "Shop"


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"url": "http://127.0.0.1:9/"}, "could not be loaded"),
        ({"url": "PAGE", "script": "nothing.there"}, "nothing is not defined"),
    ],
)
def test_a_visit_that_fails_is_released_and_billed(
    server: Automation, browser: str, page: str, case: dict[str, str], said: str
) -> None:
    server.connect_url = browser
    case = {**case, "url": page if case["url"] == "PAGE" else case["url"]}

    with pytest.raises(PermanentError, match=said) as caught:
        run(server, "browserbase", "/v1/sessions", case, response={"cost": MINUTES})

    assert caught.value.answer is not None
    assert caught.value.answer.cost_usd == pytest.approx(0.035)
    assert server.n_open == 0


def test_a_session_that_takes_its_time_is_awaited(server: Automation) -> None:
    server.n_polls = 3

    answer = run(server, "browserbase", "/v1/sessions", {}, response={"result_field": "session.region"})

    assert answer.text == "us-west-2"
    assert server.n_open == 0


@pytest.mark.parametrize("connect_url", ["ws://127.0.0.1:9/none", "not a url"])
def test_a_browser_that_is_not_there_releases_the_session(server: Automation, connect_url: str) -> None:
    server.connect_url = connect_url

    with pytest.raises(TransientError, match="browser cannot be reached") as caught:
        run(server, "browserbase", "/v1/sessions", {"url": "https://example.com"})

    assert caught.value.kind == "unknown"
    assert server.n_open == 0


def test_a_call_that_is_cancelled_releases_its_session(server: Automation) -> None:
    server.n_polls = 10_000

    async def act(adapter: Provider) -> None:
        task = asyncio.create_task(adapter.send(request_of({"url": "u"}, {})))
        while len(server.seen) < 2:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(with_adapter(server, "browserbase", "/v1/sessions", act))

    assert server.n_open == 0


def test_a_key_in_a_browsers_address_reaches_the_browser_and_nobody_else(server: Automation) -> None:
    """The address that an answer names holds the key, which is taken out of every answer."""
    seen: list[str] = []

    async def browser(request: web.Request) -> web.StreamResponse:
        seen.append(request.query_string)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.close()
        return socket

    async def act(adapter: Provider) -> str:
        application = web.Application()
        application.router.add_get("/", browser)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        server.connect_url = f"ws://127.0.0.1:{port}/?apiKey={KEY}"
        with pytest.raises(TransientError, match="the browser went away") as caught:
            await adapter.send(request_of({"url": "u"}, {}))
        await runner.cleanup()
        return str(caught.value)

    said = asyncio.run(with_adapter(server, "browserbase", "/v1/sessions", act))

    assert seen == [f"apiKey={KEY}"]
    assert KEY not in said


def test_a_page_may_be_fetched_without_a_session(server: Automation) -> None:
    answer = run(server, "browserbase", "/v1/fetch", {"url": "u"}, response={"result_field": "content"})

    assert (answer.text, server.did()) == ("fetched u", ["POST /v1/fetch"])
