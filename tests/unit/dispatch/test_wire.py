"""What travels between coordinator and workers: whole, versioned, and refused when it is anything else."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from convergence_cluster.dispatch.wire import (
    MAX_CALLS,
    Report,
    Task,
    WireError,
    decode_keys,
    decode_report,
    decode_task,
    encode_keys,
    encode_report,
    encode_task,
)
from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind, Usage
from convergence_cluster.domain.identity import ArmId, StudyId

STUDY = StudyId("demo-1a2b")


def call(arm: int = 0, case: int = 0, repeat: int = 0, usd: float = 0.25) -> Call:
    configuration = {"model": f"m{arm}", "temperature": 0.5, "stop": None}
    return Call(study=STUDY, arm=ArmId(arm), case=case, repeat=repeat, configuration=configuration, reserved_usd=usd)


def task(*calls: Call) -> Task:
    return Task(id=f"{STUDY}:3.17", study=STUDY, digest="d" * 32, attempt=2, calls=calls or (call(),))


def travelled(document: Any) -> Any:
    return json.loads(json.dumps(document))


def test_a_task_arrives_as_it_was_sent() -> None:
    sent = task(call(), call(1, 2), call(1, 3, 1, usd=0.0))

    assert decode_task(travelled(encode_task(sent))) == sent


def test_keys_arrive_with_what_was_reserved() -> None:
    assert decode_keys(encode_keys([call(4, 5, 6, usd=0.5)])) == {(4, 5, 6): 0.5}


def test_every_field_of_an_outcome_arrives() -> None:
    values: dict[str, Any] = {
        "kind": OutcomeKind.TRUNCATED,
        "metrics": {"quality": 0.25},
        "usage": Usage(input_tokens=3, output_tokens=4, cached_tokens=1, cache_write_tokens=2, reasoning_tokens=1),
    }
    plain: dict[str, Any] = {
        "str | None": "tëxt\x00\ud800",
        "float | None": 0.125,
        "float": 0.5,
        "int": 2,
        "bool": True,
    }
    plain["collections.abc.Mapping[str, float]"] = {"a": 0.5}
    for each in fields(CallOutcome):
        if each.name not in {"call", *values}:
            values[each.name] = plain[each.type.__name__ if isinstance(each.type, type) else str(each.type)]
    outcome = CallOutcome(call=call(7, 8, 1), **values)
    report = Report(task="t", attempt=1, study=STUDY, worker="w", outcomes=(outcome,), is_done=True)

    arrived = decode_report(encode_report(report))

    assert arrived.outcomes[0] == replace(outcome, call=replace(outcome.call, configuration={}))
    assert replace(arrived, outcomes=()) == replace(report, outcomes=())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"v": 2}, "version 2 came to a release that knows version 1"),
        ({"v": 0}, "version 0 came"),
        ({"v": None}, "version None came"),
        ({"study": "another-study"}, "does not belong to study"),
        ({"calls": []}, "has 0 calls"),
        ({"calls": [[0, 0, 0, 0.1, 0, 1]] * (MAX_CALLS + 1)}, f"has {MAX_CALLS + 1} calls"),
        ({"calls": [[0, -1, 0, 0.1, 0, 1]]}, "a call is"),
        ({"calls": [[0, 0, 0, 0.1, 0, 0]]}, "a call is"),
        ({"calls": [[0, 0, 0, 1]]}, "a call is"),
        ({"calls": ["rm -rf"]}, "a call is"),
        ({"calls": [[9, 0, 0, 0.1, 0, 1]]}, "has no configuration"),
        ({"calls": [[0, 0, 0, -1.0, 0, 1]]}, "no sound bound"),
        ({"calls": [[0, 0, 0, 0.1, float("inf"), 1]]}, "no sound bound"),
        ({"calls": None}, "field 'calls' is NoneType"),
        ({"attempt": -1}, "expected a count"),
        ({"attempt": True}, "expected a count"),
        ({"digest": ""}, "has 0 characters"),
        ({"task": "x" * 500}, "has 500 characters"),
        ({"arms": []}, "field 'arms' is list"),
    ],
)
def test_a_task_that_is_not_ours_is_refused_by_name(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(WireError, match=reason.replace("[", r"\[")):
        decode_task({**encode_task(task()), **change})


@pytest.mark.parametrize("message", [None, 3, "text", b"bytes", [], [1, 2], {}, {"v": 1}])
def test_anything_else_is_refused(message: object) -> None:
    with pytest.raises(WireError):
        decode_task(message)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_no_json_at_all_makes_the_reader_stumble(message: object) -> None:
    assume(
        not (isinstance(message, dict) and any(isinstance(value, dict) for value in message.values()))
    )  # may be arms

    for given_message in (
        message,
        {**encode_task(task()), "calls": [message]},
        {**encode_task(task()), "arms": message},
    ):
        with pytest.raises(WireError):
            decode_task(given_message)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"v":9}', b'{"v":1,"task":"t","attempt":1,"study":"s"}'])
def test_a_report_that_is_not_ours_is_refused(text: bytes) -> None:
    with pytest.raises(WireError):
        decode_report(text)


def test_what_everybody_may_see_of_a_task_holds_no_configuration() -> None:
    shown = task(call(3, 1), call(4, 1)).summary()

    assert shown == f"arm=3,4 attempt=2 calls=2 study={STUDY}"


def test_what_everybody_may_see_of_a_task_stays_short() -> None:
    shown = task(*(call(arm, 1) for arm in range(1, 21))).summary()

    assert shown == f"arm=1,2,3+17 attempt=2 calls=20 study={STUDY}"
