"""Actors as Apify runs them: a run is started, awaited, and its data set is the result.

Source: Apify's API reference v2 (2026). A run is always started with the most it may charge and with a time limit, so
that one whose caller has died ends by itself.
"""

import math
from collections.abc import Mapping
from urllib.parse import urlsplit

from convergence_cluster.domain.identity import Json
from convergence_cluster.providers.jobs import JobFormat, Polling, Step
from convergence_cluster.providers.request_rule import RequestRule, camel
from convergence_cluster.providers.response_rule import CostTerm, ResponseRule

_RUN_OPTIONS = frozenset({"memory", "timeout", "maxItems", "maxTotalChargeUsd", "build", "restartOnError"})
_LONGEST_POLL_S = 60
_SHARE_OF_TIMEOUT = 0.5
"""Of the limit for one request, which a poll that waits for the end of the run may take."""
_ENDED_BADLY = "contains(['FAILED', 'TIMED-OUT', 'ABORTED'], body.data.status)"


def apify(url: str, *, timeout_s: float, job_timeout_s: float, max_usd: float | None) -> JobFormat:
    """Return how to run an actor.

    `url` is the API (`.../v2`), an actor (`.../v2/acts/user~name`) or its runs; without an actor in it the parameter
    `actor` names it. `timeout_s` is the limit of one request, `max_usd` that of one run's charges.
    """
    url = url.rstrip("/")
    root = url.partition("/acts")[0].partition("/actor-tasks")[0]
    if urlsplit(url).path.count("/") <= 1:
        url += "/acts/{{ params.actor | replace('/', '~') }}"
    if not url.endswith("/runs"):
        url += "/runs"
    longest_s = max(0, min(_LONGEST_POLL_S, math.floor(timeout_s * _SHARE_OF_TIMEOUT)))
    poll = RequestRule(query={"waitForFinish": longest_s})
    limits: dict[str, Json] = {"timeout": math.ceil(job_timeout_s)}
    if max_usd is not None:
        limits["maxTotalChargeUsd"] = max_usd

    def merge(fields: Mapping[str, Json]) -> tuple[Mapping[str, Json], Json]:
        """Run options go into the query, all else is the actor's input."""
        options = {camel(name): value for name, value in fields.items() if camel(name) in _RUN_OPTIONS}
        own = {n: value for n, value in fields.items() if camel(n) not in _RUN_OPTIONS and n != "actor"}
        return {**limits, **options}, own

    return JobFormat(
        url=url,
        request=RequestRule(merge=merge),
        response=ResponseRule(cost=(CostTerm(path="data.usageTotalUsd", step="poll"),), model=None),
        polling=Polling(
            poll=Step(url=f"{root}/actor-runs/{{{{ submitted.data.id }}}}", rule=poll),
            done_when="body.data.status == 'SUCCEEDED'",
            fail_when=_ENDED_BADLY,
            result=Step(
                url=f"{root}/datasets/{{{{ polled.data.defaultDatasetId }}}}/items",
                rule=RequestRule(query={"clean": "true", "format": "json"}),
            ),
            cancel=Step(url=f"{root}/actor-runs/{{{{ submitted.data.id }}}}/abort", method="POST"),
            interval_s=0.5,
            timeout_s=job_timeout_s,
        ),
    )
