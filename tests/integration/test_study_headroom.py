"""What a provider says about its room reaches the limiter."""

import asyncio

from convergence_cluster.bootstrap.providers import build_provider
from convergence_cluster.bootstrap.runner import heeding
from convergence_cluster.domain.calls import Request, TestCase
from convergence_cluster.domain.clock import SystemClock
from convergence_cluster.domain.identity import CaseId
from convergence_cluster.metering.rate import RateLimiter
from convergence_cluster.spec.loading import loads
from tests.contracts.loopback import as_json, serving

STUDY = """
api: {{name: x, provider: http, endpoint: "{url}", auth: {{type: none}}}}
search_space: {{parameters: {{heat: [0.1, 0.2]}}}}
evaluation: {{test_cases: [{{input: {{q: a}}, expected: b}}], metrics: {{success_rate: 1}}}}
"""


def test_after_the_last_call_that_a_provider_has_room_for_nobody_calls() -> None:
    async def act() -> float:
        last = as_json({"result": "b"}, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0.4"})
        async with serving(last) as server:
            limiter = RateLimiter()
            provider = build_provider(
                loads(STUDY.format(url=server.url)), environ={}, clock=SystemClock(), heed=heeding(limiter)
            )
            await provider.send(
                Request(
                    configuration={"heat": 0.1},
                    case=TestCase(id=CaseId("c"), input={"q": "a"}),
                    idempotency_key="k:0",
                )
            )
            await provider.close()
            return await limiter.acquire()

    assert 0.2 < asyncio.run(act()) < 1.0
