"""What the study file says about any HTTP API, in the words of the adapters."""

from collections.abc import Callable

from convergence_cluster.providers.jobs import Polling, Step
from convergence_cluster.providers.request_rule import RequestRule
from convergence_cluster.providers.response_rule import CostTerm, ResponseRule
from convergence_cluster.spec.schema_api import RequestSection
from convergence_cluster.spec.schema_job import PollingSection, StepSection
from convergence_cluster.spec.schema_response import ResponseSection

Resolve = Callable[[str, tuple[str, ...]], str]
"""From a text with `${NAME}` and where it stands in the file to the text without."""
_INTERVAL_S = 1.0


def request_rule(section: RequestSection | StepSection) -> RequestRule:
    """Return the templates of a request."""
    return RequestRule(body=section.body, query=dict(section.query) or None, headers=dict(section.headers) or None)


def response_rule(response: ResponseSection) -> ResponseRule:
    """Return what an answer means."""
    return ResponseRule(
        result=response.result_field,
        usage=None if response.usage is None else response.usage.rule(),
        cost=cost_terms(response),
        error=response.error_field,
        success_when=response.success_rule(),
        model=response.model or "model",
        finish=response.finish,
    )


def cost_terms(response: ResponseSection) -> tuple[CostTerm, ...]:
    """Return where answers say what they cost."""
    return tuple(
        CostTerm(path=term.path, usd_per_unit=term.usd_per_unit, is_required=term.required, step=term.step)
        for term in response.cost
    )


def step(section: StepSection | None, name: str, method: str, resolve: Resolve) -> Step | None:
    """Return a request of a job beside the call itself."""
    if section is None:
        return None
    url = resolve(section.url, ("api", *name.split("."), "url"))
    return Step(url=url, method=section.method or method, rule=request_rule(section))


def polling_rule(section: PollingSection | None, resolve: Resolve) -> Polling | None:
    """Return how to learn that a job is done."""
    if section is None:
        return None
    poll = step(section.poll, "polling.poll", "GET", resolve)
    assert poll is not None
    return Polling(
        poll=poll,
        submit=step(section.submit, "polling.submit", "POST", resolve),
        done_when=section.done_when,
        fail_when=section.fail_when,
        result=step(section.result, "polling.result", "GET", resolve),
        cancel=step(section.cancel, "polling.cancel", "POST", resolve),
        interval_s=section.interval_seconds or _INTERVAL_S,
        timeout_s=section.timeout_seconds,
    )
