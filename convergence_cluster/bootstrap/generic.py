"""What the study file says about any HTTP API, in the words of the adapters."""

from collections.abc import Callable, Mapping

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.providers.jobs import Polling, Step
from convergence_cluster.providers.request_rule import RequestRule
from convergence_cluster.providers.response_rule import CostTerm, ResponseRule
from convergence_cluster.spec.environment import resolve_references
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


def with_own_response(known: ResponseRule, response: ResponseSection) -> ResponseRule:
    """Return what a vendor's answer means where the study does not say otherwise."""
    own = response_rule(response)
    return ResponseRule(
        result=own.result or known.result,
        usage=own.usage or known.usage,
        cost=own.cost or known.cost,
        error=own.error or known.error,
        success_when=own.success_when or known.success_when,
        model=response.model or known.model,
        finish=own.finish or known.finish,
    )


def polling_rule(section: PollingSection | None, resolve: Resolve, *, default: Polling | None) -> Polling | None:
    """Return how to learn that a job is done; `default` is what a vendor's own says.

    Raises:
        SpecError: nobody says how to ask, or what the end of a job is.
    """
    if section is None:
        return default
    poll = step(section.poll, "polling.poll", "GET", resolve) or (default.poll if default else None)
    done_when = section.done_when or (default.done_when if default else None)
    if poll is None or done_when is None:
        raise SpecError("api.polling: required: poll, the request that asks for a job, and done_when, its end")
    return Polling(
        poll=poll,
        submit=step(section.submit, "polling.submit", "POST", resolve),
        done_when=done_when,
        fail_when=section.fail_when or (default.fail_when if default else None),
        result=step(section.result, "polling.result", "GET", resolve) or (default.result if default else None),
        cancel=step(section.cancel, "polling.cancel", "POST", resolve) or (default.cancel if default else None),
        interval_s=section.interval_seconds or (default.interval_s if default else _INTERVAL_S),
        timeout_s=section.timeout_seconds,
    )


def resolve_in(environ: Mapping[str, str]) -> Resolve:
    """Return a function that replaces references to environment variables."""
    return lambda text, path: resolve_references(text, environ, path)
