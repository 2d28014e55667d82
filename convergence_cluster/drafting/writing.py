"""A draft as the text of a study file, of its test cases and of its evaluator."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from convergence_cluster.domain.identity import Json
from convergence_cluster.drafting.knobs import Knob
from convergence_cluster.drafting.openapi import Key
from convergence_cluster.drafting.proposing import Proposal
from convergence_cluster.drafting.wishes import Wishes, weights_of

_PLAIN = re.compile(r"[A-Za-z_](?:[\w ./+-]*[\w./+-])?")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "none"}
_WIDTH = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """What is to be written: texts by path within the folder, the study first."""

    files: Mapping[str, str]
    variables: tuple[str, ...]
    """Environment variables that a run needs."""
    advice: tuple[str, ...] = ()
    """What the user should do or know first."""


def study_text(found: Proposal, wishes: Wishes) -> str:
    """Return the study file of a proposal."""
    return "\n".join([*_api(found, wishes), "", *_space(found), "", *_rest(wishes)]) + "\n"


def cases_text(found: Proposal) -> str:
    """Return a first test case, with what the document gives as an example."""
    given = found.inputs or {"note": "this operation takes nothing from a case"}
    cases = [{"id": "case-1", "input": given, "expected": None}]
    return json.dumps(cases, indent=2, ensure_ascii=False) + "\n"


def variables_of(found: Proposal, wishes: Wishes) -> tuple[str, ...]:
    """Return the environment variables that hold the keys."""
    names = {"basic": ("_USER", "_PASSWORD"), "oauth": ("_CLIENT_ID", "_CLIENT_SECRET")}
    stem = stem_of(found)
    return tuple(
        name
        for n, key in enumerate(found.keys)
        for name in ([f"{stem}{end}" for end in names[key.kind]] if key.kind in names else [key_name(found, wishes, n)])
    )


def scalar(value: Json) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(scalar(each) for each in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{scalar(key)}: {scalar(each)}' for key, each in value.items())}}}"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)


def _api(found: Proposal, wishes: Wishes) -> Iterator[str]:
    yield f"# {wishes.name}: {found.label} of {_line(found.title)}, drafted from its OpenAPI document."
    yield "# What is a guess says so. `convergence validate` checks the file, `convergence estimate` foresees its cost."
    yield "api:"
    yield f"  name: {scalar(wishes.name)}"
    yield "  provider: http"
    yield f"  endpoint: {json.dumps(_endpoint(found, wishes), ensure_ascii=False)}"
    yield from _auth(found, wishes)
    yield "  request:"
    yield f"    method: {found.method}"
    yield "    timeout_seconds: 60"
    for name in ("headers", "query", "body"):
        value = getattr(found, name)
        if value:
            yield f"    {name}:"
            yield from _block(value, 6)
    if found.body == {}:
        yield "    body: {}"
    if found.left:
        yield from _comment(f"    # not sent: {', '.join(dict.fromkeys(found.left))}")
    yield from _response(found)
    if wishes.usd_per_call is None:
        yield "  # What does a call cost? With a price, `budget.usd` can cap the spend:"
        yield "  # prices: {per_call_usd: 0.001}"
    else:
        yield f"  prices: {{per_call_usd: {wishes.usd_per_call:g}}}"


def _endpoint(found: Proposal, wishes: Wishes) -> str:
    base = wishes.endpoint or found.server
    query = [f"{key.name}=${{{key_name(found, wishes, n)}}}" for n, key in enumerate(found.keys) if key.kind == "query"]
    path = found.path + (("&" if "?" in found.path else "?") + "&".join(query) if query else "")
    return f"${{{stem_of(found)}_BASE_URL:-{base.rstrip('/')}}}{path}"


def _auth(found: Proposal, wishes: Wishes) -> Iterator[str]:
    for n, key in enumerate(found.keys):
        entry = _key_entry(key, key_name(found, wishes, n), stem_of(found))
        if entry and n == 0:
            yield f"  auth: {scalar(entry)}"
        elif key.kind != "query":
            yield f"  # the document wants a second key, which a study cannot send: {key.kind} {key.name}".rstrip()
    if not found.keys or found.keys[0].kind == "query":
        yield "  auth: {type: none}"


def _key_entry(key: Key, variable: str, stem: str) -> dict[str, str]:
    match key.kind:
        case "bearer":
            return {"type": "bearer", "token_env": variable}
        case "api_key":
            return {"type": "api_key", "token_env": variable, "header_name": key.name}
        case "basic":
            return {"type": "basic", "username_env": f"{stem}_USER", "password_env": f"{stem}_PASSWORD"}
        case "oauth":
            scope = {"scope": " ".join(key.scopes)} if key.scopes else {}
            names = {"client_id_env": f"{stem}_CLIENT_ID", "client_secret_env": f"{stem}_CLIENT_SECRET"}
            return {"type": "oauth", "token_url": key.token_url, **names, **scope}
        case _:
            return {}


def _response(found: Proposal) -> Iterator[str]:
    answer = found.answer
    rows = [("result_field", answer.result), ("usage", answer.usage), ("error_field", answer.error)]
    given = [(name, path) for name, path in rows if path]
    if given:
        yield "  response:  # JMESPath into the answer"
        yield from (f"    {name}: {json.dumps(path)}" for name, path in given)
    if not answer.result:
        yield "  # response: {result_field: PATH}  # the document does not say: the whole body is the result"


def _space(found: Proposal) -> Iterator[str]:
    yield "search_space:"
    yield "  parameters:"
    for knob in found.knobs:
        yield f"    {knob.name}: {_knob(knob)}" + (f"  # {knob.remark}" if knob.remark else "")
    baseline = {knob.name: knob.default for knob in found.knobs if not knob.when and _is_allowed(knob)}
    if baseline:
        yield '  # what the API takes by itself, and what "change" in the report compares with'
        yield "  baseline:"
        yield from _block(baseline, 4)


def _knob(knob: Knob) -> str:
    when = {"when": knob.when} if knob.when else {}
    if knob.values:
        return scalar({"values": knob.values, **when}) if when else scalar(knob.values)
    low, high = _number(knob.low), _number(knob.high)
    step = {} if knob.step is None else {"step": _number(knob.step)}
    kind = {"type": "int" if knob.is_whole else "float"}
    return scalar({**kind, "min": low, "max": high, **step, **when})


def _number(value: float) -> float:
    """Return a number as a person writes it: no `.0`, no tail of a binary fraction."""
    short = float(f"{value:.9g}")
    return int(short) if short.is_integer() else short


def _is_allowed(knob: Knob) -> bool:
    """Say whether the API's own default is one of the values that are searched."""
    if knob.values:
        return any(knob.default == value and type(knob.default) is type(value) for value in knob.values)
    if not isinstance(knob.default, int | float) or isinstance(knob.default, bool):
        return False
    n_steps = (knob.default - knob.low) / (knob.step or (1.0 if knob.is_whole else 0.0) or knob.default or 1.0)
    is_on_grid = knob.step is None or abs(n_steps - round(n_steps)) < 1e-6  # noqa: PLR2004 - far below any step
    return knob.low <= knob.default <= knob.high and is_on_grid


def _rest(wishes: Wishes) -> Iterator[str]:
    quality, latency, cost = weights_of(wishes.goal)
    usd = None if wishes.usd_per_call is None else wishes.usd
    yield "evaluation:"
    yield "  test_cases: {path: test_cases.json}"
    yield "  metrics:"
    yield f"    quality: {{weight: {quality + (cost if usd is None else 0):g}, function: custom}}  # by evaluator.py"
    yield f"    latency_ms: {{weight: {latency:g}, threshold: 1000}}  # 1000 ms are worth one half"
    if usd is not None and wishes.usd_per_call:
        yield f"    cost_usd: {{weight: {cost:g}, budget_per_call: {wishes.usd_per_call:g}}}"
    yield "  custom_evaluator: {module: evaluator, function: score_response}"
    yield ""
    yield "optimization:"
    yield f"  execution: {{parallel_workers: {wishes.workers}}}"
    yield "  seed: 7"
    yield ""
    money = "" if usd is None else f"usd: {usd:g}, "
    yield f"budget: {{{money}calls: {wishes.calls}, minutes: 30}}"
    yield ""
    yield "output:"
    yield f"  save_path: ./results/{wishes.name}"
    yield "  formats: [json, markdown, csv, html]"


def _block(value: Json, indent: int) -> Iterator[str]:
    """Yield a mapping, a key a line; what is neither mapping nor text stands in one line."""
    if not isinstance(value, Mapping):
        yield " " * indent + scalar(value)
        return
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield f"{' ' * indent}{scalar(key)}:"
            yield from _block(item, indent + 2)
        else:
            yield f"{' ' * indent}{scalar(key)}: {scalar(item)}"


def _comment(text: str) -> Iterator[str]:
    """Yield a comment in lines that are not too long."""
    indent = " " * (len(text) - len(text.lstrip()))
    line = ""
    for word in text.split():
        if line and len(indent) + len(line) + len(word) >= _WIDTH:
            yield indent + line
            line = "#  "
        line = f"{line} {word}" if line else word
    yield indent + line


def stem_of(found: Proposal) -> str:
    """Return what the names of the study's variables begin with."""
    stem = re.sub(r"\W+", "_", found.vendor).strip("_").upper() or "API"
    return f"API_{stem}" if stem[0].isdigit() else stem


def key_name(found: Proposal, wishes: Wishes | None = None, n: int = 0) -> str:
    """Return the variable of the n-th key, from 0."""
    name = (wishes and wishes.key_env) or f"{stem_of(found)}_API_KEY"
    return name if n == 0 else f"{name}_{n + 1}"


def _line(text: str) -> str:
    return " ".join(text.split())
