"""Which operation of a document, and the draft that comes of it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from urllib.parse import urlsplit

from convergence_cluster.domain.errors import SpecError
from convergence_cluster.drafting.evaluators import evaluator_text
from convergence_cluster.drafting.knobs import is_model
from convergence_cluster.drafting.openapi import Key, OpenApi, Operation
from convergence_cluster.drafting.proposing import Proposal, n_knobs
from convergence_cluster.drafting.wishes import Wishes
from convergence_cluster.drafting.writing import Draft, cases_text, study_text, variables_of

_METHODS = ("POST", "GET", "PUT", "PATCH")
"""In the order of how probably a call asks and changes nothing; what deletes is never suggested."""
_N_SHOWN = 12
_DIALECTS = {
    "api.openai.com": {"/chat/completions": "openai", "/responses": "openai-responses"},
    "api.anthropic.com": {"/messages": "anthropic"},
    "api.groq.com": {"/chat/completions": "groq"},
    "api.mistral.ai": {"/chat/completions": "mistral"},
    "api.together.xyz": {"/chat/completions": "together"},
    "openrouter.ai": {"/chat/completions": "openrouter"},
}


def searchable(api: OpenApi) -> tuple[tuple[Operation, int], ...]:
    """Return the operations that a study can call and search, with how many parameters, the most promising first."""
    found = [(operation, n_knobs(api, operation)) for operation in api.operations() if operation.method != "DELETE"]
    useful = [(operation, n) for operation, n in found if n]
    return tuple(sorted(useful, key=lambda each: (each[0].is_deprecated, _METHODS.index(each[0].method), -each[1])))


def find_operation(api: OpenApi, name: str) -> Operation:
    """Return the operation with this operationId, or at this `METHOD /path`.

    Raises:
        SpecError: there is none, or several; the message names the nearest.
    """
    known = api.operations()
    method, _, path = name.partition(" ")
    wanted = f"{method.upper()} {path.strip()}" if path else name
    found = [each for each in known if wanted in {each.id, each.label}] or [each for each in known if each.path == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise SpecError(f"--operation {name!r}: several; expected one of {', '.join(each.label for each in found)}")
    names = [label for each in known for label in (each.id, each.label) if label]
    near = get_close_matches(wanted, names, n=3, cutoff=0.4)
    hint = f"; did you mean {' or '.join(repr(each) for each in near)}?" if near else ""
    raise SpecError(f"--operation {name!r}: {api.name} has no such operation{hint} `--list` shows those to choose from")


def none_searchable(api: OpenApi) -> SpecError:
    """Return the error for a document in which nothing can be searched."""
    return SpecError(
        f"{api.name}: none of its {len(api.operations())} operations takes an enumeration, a flag or a number with "
        "bounds in JSON, a form or the query: there is nothing to search"
    )


def listing(found: Sequence[tuple[Operation, int]], *, limit: int | None = _N_SHOWN) -> list[str]:
    """Return a line an operation."""
    shown = found[:limit]
    width = max((len(operation.label) for operation, _ in shown), default=0)
    lines = [f"{o.label:<{width}}  {n} to search  {o.summary[:60]}".rstrip() for o, n in shown]
    return lines + ([f"... and {len(found) - len(shown)} more"] if len(found) > len(shown) else [])


def name_of(found: Proposal) -> str:
    """Return a name for the study: the vendor's and the end of the path."""
    parts = [part for part in found.path.split("?")[0].split("/") if part and "{" not in part]
    words = f"{found.vendor}-{parts[-1] if parts else found.method}"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:40] or "study"


def draft_openapi(proposal: Proposal, wishes: Wishes) -> Draft:
    """Return the study of a proposal, a first test case and an evaluator."""
    if wishes.key_env and not proposal.keys:
        kind = "api_key" if wishes.key_header else "bearer"
        proposal.keys = (Key(kind=kind, name=wishes.key_header or ""),)
    if wishes.models:
        _compare(proposal, wishes.models)
    advice = ["test_cases.json holds one example: write 20 or more of your own, with what you expect of each answer"]
    server = urlsplit(wishes.endpoint or proposal.server)
    if not server.scheme or "{" in server.netloc:
        advice.append("the document does not say where the API is: put its address into api.endpoint")
    if proposal.method in {"PUT", "PATCH", "DELETE"}:
        advice.append(f"{proposal.method} changes what the API holds, with every call: use an account made for trials")
    unnamed = [knob.name for knob in proposal.knobs if knob.values == ("MODEL",)]
    advice += [f"{name}: the document names no values; write those to compare" for name in unnamed]
    if not proposal.keys:
        advice.append("the document names no key; if the API wants one, say in api.auth which variable holds it")
    if wishes.usd_per_call is None:
        advice.append("api.prices: say what a call costs, so that `budget.usd` can cap the spend")
    dialect = next(
        (n for end, n in _DIALECTS.get(server.hostname or "", {}).items() if proposal.path.endswith(end)), None
    )
    if dialect:
        advice.append(f"this API's own dialect, with usage, prices and errors, is built in: --preset {dialect}")
    return Draft(
        files={
            "study.yaml": study_text(proposal, wishes),
            "test_cases.json": cases_text(proposal),
            "evaluator.py": evaluator_text(proposal.answer.steps),
        },
        variables=variables_of(proposal, wishes),
        advice=tuple(advice),
    )


def _compare(proposal: Proposal, models: tuple[str, ...]) -> None:
    """Put the user's models in place of the document's."""
    if not any(is_model(knob.name) for knob in proposal.knobs):
        raise SpecError(f"--models: {proposal.label} takes no model")
    proposal.knobs = [
        replace(knob, values=models, remark="", default=None) if is_model(knob.name) else knob
        for knob in proposal.knobs
    ]
