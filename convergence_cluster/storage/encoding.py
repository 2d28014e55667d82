"""Events and outcomes as compact JSON text and back, every field equal.

ASCII with escapes: PostgreSQL takes no NUL and neither database takes lone surrogates, and models answer both.
Fields at their defaults are left out.
"""

import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, assert_never

from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind, Usage
from convergence_cluster.domain.identity import ArmId, Configuration, Json, StudyId
from convergence_cluster.domain.journal import (
    Asked,
    Calibrated,
    CallKey,
    Event,
    LedgerEntry,
    Resumed,
    Sat,
    Stopped,
    Told,
)
from convergence_cluster.domain.search import Block, StopReason

CALL_COLUMNS = (
    "study",
    "arm",
    "case_index",
    "repeat",
    "owner",
    "kind",
    "latency_s",
    "cost_usd",
    "n_attempts",
    "finished_at_s",
    "detail",
)
LEDGER_COLUMNS = (
    "study",
    "owner",
    "arm",
    "case_index",
    "repeat",
    "n_attempts",
    "usd",
    "kind",
    "price_source",
    "at_s",
    "answered_at_s",
    "task",
)

_COUNTS = attrgetter("input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens")
_KINDS = {kind.value: kind for kind in OutcomeKind}


def _mapping(value: object) -> dict[str, Json]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


dumps = json.JSONEncoder(separators=(",", ":"), default=_mapping).encode
"""Compact JSON text; key order kept, infinities and NaN as Python writes them."""


def encode_event(event: Event, configuration: str | None) -> tuple[str, str]:
    """Return kind and body. `configuration` is the JSON of an asked arm's if it is not the one stored with the arm."""
    match event:
        case Asked(block=block):
            body = (
                f"{block.arm},{dumps(block.cases)},{block.repeat},{dumps(block.operator)},{dumps(event.reserved_usd)}"
            )
            return "asked", f"[{body}]" if configuration is None else f"[{body},{configuration}]"
        case Told(keys=keys):
            return "told", dumps(keys)
        case Calibrated(scales=scales):
            return "calibrated", dumps(scales)
        case Resumed(unknown=unknown):
            return "resumed", dumps(unknown)
        case Stopped(reason=reason):
            return "stopped", dumps(None if reason is None else reason.value)
        case Sat():
            return "sat", dumps((event.began_s, event.until_s))
        case _:
            assert_never(event)


def decode_event(kind: str, body: Json, configurations: Mapping[int, Configuration]) -> Event:
    """Return the event that `encode_event` wrote.

    Raises:
        ValueError: the kind is not known.
    """
    match kind:
        case "asked":
            return _asked(body, configurations)
        case "told":
            return Told(keys=_keys(body))
        case "calibrated":
            return Calibrated(scales=body)
        case "resumed":
            return Resumed(unknown=_keys(body))
        case "stopped":
            return Stopped(reason=None if body is None else StopReason(body))
        case "sat":
            return Sat(began_s=body[0], until_s=body[1])
        case _:
            raise ValueError(f"{kind!r} is not a kind of event")


def _asked(body: Json, configurations: Mapping[int, Configuration]) -> Asked:
    arm, cases, repeat, operator, reserved_usd, *own = body
    return Asked(
        block=Block(
            arm=ArmId(arm),
            configuration=own[0] if own else configurations[arm],
            cases=tuple(cases),
            repeat=repeat,
            operator=operator,
        ),
        reserved_usd=reserved_usd,
    )


def _keys(body: Json) -> tuple[CallKey, ...]:
    return tuple((arm, case, repeat) for arm, case, repeat in body)


def call_row(outcome: CallOutcome, owner: str, configuration: str | None) -> tuple[object, ...]:
    """Return the row of `convergence_calls`, in the order of `CALL_COLUMNS`."""
    call = outcome.call
    return (
        call.study,
        call.arm,
        call.case,
        call.repeat,
        owner,
        outcome.kind.value,
        outcome.latency_s,
        outcome.cost_usd,
        outcome.n_attempts,
        outcome.finished_at_s,
        _detail(outcome, configuration),
    )


def _detail(outcome: CallOutcome, configuration: str | None) -> str:
    call, usage = outcome.call, outcome.usage
    fields: dict[str, Any] = {
        "metrics": outcome.metrics or None,
        "clamped": outcome.clamped or None,
        "reserved_usd": call.reserved_usd or None,
        "set_aside_usd": call.scoring_usd or None,
        "n_draws": None if call.n_draws == 1 else call.n_draws,
        "scoring": None if outcome.scoring_usd == 0.0 else [outcome.scoring_usd, outcome.scoring_source],
        "scoring_cached_usd": outcome.scoring_cached_usd or None,
        "usage": None if usage is None else _COUNTS(usage),
        "waited_s": outcome.waited_s or None,
        "is_cached": outcome.is_cached or None,
        "price_source": outcome.price_source,
        "model": outcome.model,
        "error": outcome.error,
        "answer": outcome.answer,
    }
    detail = {name: value for name, value in fields.items() if value is not None}
    text = dumps(detail)
    if configuration is None:
        return text
    return f'{text[:-1]}{"," if detail else ""}"configuration":{configuration}}}'


def decode_call(
    row: Sequence[Any], detail: dict[str, Json], configurations: Mapping[int, Configuration]
) -> CallOutcome:
    """Return the outcome of a row in the order of `CALL_COLUMNS`, its last column given parsed."""
    study, arm, case, repeat, _, kind, latency_s, cost_usd, n_attempts, finished_at_s, _ = row
    get = detail.get
    usage = get("usage")
    scoring_usd, scoring_source = get("scoring") or (0.0, None)
    return CallOutcome(
        call=Call(
            study=StudyId(study),
            arm=arm,
            case=case,
            repeat=repeat,
            configuration=detail["configuration"] if "configuration" in detail else configurations[arm],
            reserved_usd=get("reserved_usd", 0.0),
            scoring_usd=get("set_aside_usd", 0.0),
            n_draws=get("n_draws", 1),
        ),
        kind=_KINDS[kind],
        metrics=get("metrics") or {},
        clamped=get("clamped") or {},
        latency_s=latency_s,
        cost_usd=cost_usd,
        price_source=get("price_source"),
        scoring_usd=scoring_usd,
        scoring_source=scoring_source,
        scoring_cached_usd=get("scoring_cached_usd", 0.0),
        usage=None if usage is None else _usage(usage),
        n_attempts=n_attempts,
        waited_s=get("waited_s", 0.0),
        error=get("error"),
        answer=get("answer"),
        model=get("model"),
        is_cached=get("is_cached", False),
        finished_at_s=finished_at_s,
    )


def _usage(counts: Sequence[int]) -> Usage:
    return Usage(
        input_tokens=counts[0],
        output_tokens=counts[1],
        cached_tokens=counts[2],
        cache_write_tokens=counts[3],
        reasoning_tokens=counts[4],
    )


def ledger_row(entry: LedgerEntry, study: str, owner: str) -> tuple[object, ...]:
    """Return the row of `convergence_ledger`, in the order of `LEDGER_COLUMNS`."""
    key, money = entry.key, (entry.n_attempts, entry.usd, entry.kind, entry.price_source)
    return (study, owner, *key, *money, entry.at_s, entry.answered_at_s, entry.task)


def decode_ledger(row: Sequence[Any]) -> LedgerEntry:
    """Return the entry of a row in the order of `LEDGER_COLUMNS`."""
    _, _, arm, case, repeat, n_attempts, usd, kind, price_source, at_s, answered_at_s, task = row
    return LedgerEntry(
        key=(arm, case, repeat),
        n_attempts=n_attempts,
        usd=usd,
        kind=kind,
        price_source=price_source,
        at_s=at_s,
        answered_at_s=answered_at_s,
        task=task,
    )


def parse_all(texts: Sequence[str]) -> list[Any]:
    """Return the values of many JSON texts, parsed at once because that is twice as fast as one by one."""
    parsed: list[Any] = json.loads(f"[{','.join(texts)}]")
    return parsed
