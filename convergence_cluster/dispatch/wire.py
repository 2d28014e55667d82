"""What travels between a coordinator and its workers: versioned JSON, checked on arrival.

Never a secret, a prompt or a test case: workers fetch the study by the digest of its content and read keys from their
own environment.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from operator import attrgetter
from typing import Final

from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind, Usage
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import ArmId, Json, StudyId
from convergence_cluster.domain.journal import CallKey

VERSION: Final = 1
"""Of every message. Readers take this one; a worker of another release leaves such a task to others."""
MAX_BYTES: Final = 1_000_000
"""Of one task."""
MAX_CALLS: Final = 100
"""In one task."""
_SHOWN_ARMS = 3
_APART = frozenset({"call", "kind", "usage"})
_DEFAULTS: Final = {
    field.name: {} if field.default is MISSING else field.default
    for field in fields(CallOutcome)
    if field.name not in _APART
}
"""Fields of an outcome that are JSON as they are."""
_VALUES: Final = attrgetter(*_DEFAULTS)


class WireError(ConvergenceError):
    """A message is not what this release sends; upgrade coordinator and workers together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """Calls of one study that travel together."""

    id: str
    """`STUDY:NUMBER`."""
    study: StudyId
    digest: str
    """Of the study's content, by which a worker fetches it."""
    attempt: int
    """Rises when the coordinator sends it anew; a copy of an earlier attempt is refused."""
    calls: tuple[Call, ...]

    def summary(self) -> str:
        """Return what may be shown of it to everybody; Flower cuts off what is longer than some 45 characters."""
        arms = list(dict.fromkeys(str(call.arm) for call in self.calls))
        more = f"+{len(arms) - _SHOWN_ARMS}" if len(arms) > _SHOWN_ARMS else ""
        shown = ",".join(arms[:_SHOWN_ARMS]) + more
        return f"arm={shown} attempt={self.attempt} calls={len(self.calls)} study={self.study}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a worker has to say of a task: some of its outcomes, or all that were left."""

    task: str
    attempt: int
    study: StudyId
    worker: str
    outcomes: tuple[CallOutcome, ...]
    is_done: bool
    """No more will come of this attempt."""


def encode_task(task: Task) -> dict[str, Json]:
    """Return a task as the one JSON argument of the Celery task."""
    return {
        "v": VERSION,
        "task": task.id,
        "study": task.study,
        "digest": task.digest,
        "attempt": task.attempt,
        "arms": {str(call.arm): dict(call.configuration) for call in task.calls},
        "calls": [
            [call.arm, call.case, call.repeat, call.reserved_usd, call.scoring_usd, call.n_draws] for call in task.calls
        ],
    }


def decode_task(message: object) -> Task:
    """Return the task that `encode_task` wrote.

    Raises:
        WireError: it is of another version, malformed, too large, or not a task at all.
    """
    document = _object(message, "a task")
    calls = _field(document, "calls", list)
    arms = _field(document, "arms", dict)
    if not 0 < len(calls) <= MAX_CALLS:
        raise WireError(f"the task has {len(calls)} calls; expected 1 to {MAX_CALLS}")
    study = StudyId(_text(document, "study"))
    task = _text(document, "task")
    if task.rpartition(":")[0] != study:
        raise WireError(f"task {task!r} does not belong to study {study!r}")
    return Task(
        id=task,
        study=study,
        digest=_text(document, "digest"),
        attempt=_count(document, "attempt"),
        calls=tuple(_call(study, given, arms) for given in calls),
    )


def encode_keys(calls: Sequence[Call]) -> str:
    """Return the calls of a task as the text that its registration keeps."""
    return json.dumps([[*call.key, call.most_usd] for call in calls], separators=(",", ":"))


def decode_keys(text: str) -> dict[CallKey, float]:
    """Return the call keys of a registration, each with what was reserved for it."""
    return {(ArmId(arm), case, repeat): usd for arm, case, repeat, usd in json.loads(text)}


def encode_report(report: Report) -> bytes:
    """Return a report as one entry of the results stream."""
    document = {
        "v": VERSION,
        "task": report.task,
        "attempt": report.attempt,
        "study": report.study,
        "worker": report.worker,
        "done": report.is_done,
        "outcomes": [_outcome_document(outcome) for outcome in report.outcomes],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def decode_report(text: bytes | str) -> Report:
    """Return the report that `encode_report` wrote; its calls have no configuration, which the coordinator knows.

    Raises:
        WireError: it is of another version or malformed.
    """
    try:
        document = _object(json.loads(text), "a report")
    except ValueError as error:
        raise WireError(f"the report is not JSON: {error}") from error
    study = StudyId(_text(document, "study"))
    return Report(
        task=_text(document, "task"),
        attempt=_count(document, "attempt"),
        study=study,
        worker=_text(document, "worker"),
        outcomes=tuple(_outcome(study, given) for given in _field(document, "outcomes", list)),
        is_done=_field(document, "done", bool),
    )


def _object(message: object, what: str) -> Mapping[str, Json]:
    if not isinstance(message, Mapping):
        raise WireError(f"{what} is a JSON object; this is {type(message).__name__}")
    version = message.get("v")
    if version != VERSION:
        raise WireError(f"{what} of version {version!r} came to a release that knows version {VERSION}")
    return message


def _field(document: Mapping[str, Json], name: str, kind: type) -> Json:
    value = document.get(name)
    if not isinstance(value, kind):
        raise WireError(f"field {name!r} is {type(value).__name__}; expected {kind.__name__}")
    return value


def _text(document: Mapping[str, Json], name: str) -> str:
    value = str(_field(document, name, str))
    if not value or len(value) > 200:  # noqa: PLR2004 - an id of ours is far shorter
        raise WireError(f"field {name!r} has {len(value)} characters; expected 1 to 200")
    return value


def _count(document: Mapping[str, Json], name: str) -> int:
    value = _field(document, name, int)
    if isinstance(value, bool) or value < 0:
        raise WireError(f"field {name!r} is {value!r}; expected a count")
    return int(value)


def _call(study: StudyId, given: Json, arms: Mapping[str, Json]) -> Call:
    match given:
        case [
            int(arm),
            int(case),
            int(repeat),
            int() | float() as usd,
            int() | float() as scoring_usd,
            int(n_draws),
        ] if case >= 0 and repeat >= 0 and n_draws >= 1:
            configuration = arms.get(str(arm))
        case _:
            raise WireError(f"a call is [arm, case, repeat, USD, USD of scoring, draws]; this is {str(given)[:100]!r}")
    is_bounded = all(math.isfinite(bound) and bound >= 0.0 for bound in (usd, scoring_usd))
    if not isinstance(configuration, Mapping) or not is_bounded:
        raise WireError(f"call {given[:3]} has no configuration, or no sound bound on its cost")
    return Call(
        study=study,
        arm=ArmId(arm),
        case=case,
        repeat=repeat,
        configuration=configuration,
        reserved_usd=float(usd),
        scoring_usd=float(scoring_usd),
        n_draws=n_draws,
    )


def _outcome_document(outcome: CallOutcome) -> Json:
    """Return every field that is not at its default."""
    call = outcome.call
    document: dict[str, Json] = {
        "call": [*call.key, call.reserved_usd, call.scoring_usd, call.n_draws],
        "kind": outcome.kind.value,
    }
    for (name, default), value in zip(_DEFAULTS.items(), _VALUES(outcome), strict=True):
        if value != default:
            document[name] = dict(value) if isinstance(value, Mapping) else value
    if outcome.usage is not None:
        document["usage"] = asdict(outcome.usage)
    return document


def _outcome(study: StudyId, given: Json) -> CallOutcome:
    try:
        arm, case, repeat, usd, scoring_usd, n_draws = given["call"]
        call = Call(
            study=study,
            arm=ArmId(arm),
            case=case,
            repeat=repeat,
            configuration={},
            reserved_usd=usd,
            scoring_usd=scoring_usd,
            n_draws=n_draws,
        )
        usage = given.get("usage")
        return CallOutcome(
            call=call,
            kind=OutcomeKind(given["kind"]),
            usage=None if usage is None else Usage(**usage),
            **{name: value for name, value in given.items() if name in _DEFAULTS},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise WireError(f"an outcome is malformed: {type(error).__name__}: {error}") from error
