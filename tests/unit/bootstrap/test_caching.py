"""What makes a call another call."""

import json
from pathlib import Path
from typing import Any

import pytest

from convergence_cluster.bootstrap.caching import OpenStore, api_identity, build_answers, build_cache
from convergence_cluster.spec.loading import LoadedStudy, loads
from tests.fakes import FakeClock

STUDY: dict[str, Any] = {
    "api": {
        "name": "x",
        "endpoint": "${PLACE:-https://a.example}/v1/chat",
        "auth": {"type": "bearer", "token_env": "KEY"},
        "request": {"body": {"q": "{{ case.q }}", "heat": "{{ params.heat }}"}},
        "response": {"result_field": "text"},
    },
    "search_space": {"parameters": {"heat": [0.1, 0.2]}},
    "evaluation": {"test_cases": [{"input": {"q": "a"}, "expected": "b"}], "metrics": {"success_rate": 1}},
}


def study(**api: Any) -> LoadedStudy:
    return loads(json.dumps({**STUDY, "api": {**STUDY["api"], **api}}), name="study.json")


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "y"},
        {"auth": {"type": "none"}},
        {"rate": {"rpm": 5}},
        {"prices": {"per_call_usd": 1}},
        {"request": {**STUDY["api"]["request"], "timeout_seconds": 9}},
        {"description": "for readers"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_what_is_neither_sent_nor_read_makes_no_other_call(changed: dict[str, Any]) -> None:
    assert api_identity(study(**changed), {}) == api_identity(study(), {})


@pytest.mark.parametrize(
    "changed",
    [
        {"endpoint": "https://b.example/v1/chat"},
        {"provider": "openai"},
        {"request": {"body": {"q": "{{ case.q }}!", "heat": "{{ params.heat }}"}}},
        {"request": {**STUDY["api"]["request"], "headers": {"X-Version": "2"}}},
        {"response": {"result_field": "other"}},
    ],
    ids=["endpoint", "wire format", "body", "header", "result"],
)
def test_what_is_sent_or_read_makes_another_call(changed: dict[str, Any]) -> None:
    assert api_identity(study(**changed), {}) != api_identity(study(), {})


def test_an_address_counts_as_it_is_resolved() -> None:
    plain = api_identity(study(endpoint="https://b.example/v1/chat"), {})

    assert api_identity(study(), {"PLACE": "https://b.example"}) == plain


class Store:
    async def get(self, key: str) -> bytes | None:
        return None

    async def put(self, key: str, value: bytes) -> None:
        pass

    async def close(self) -> None:
        pass


def is_cached(loaded: LoadedStudy, open_store: OpenStore | None = Store) -> bool:
    answers = build_answers(loaded, open_store, environ={}, redact=str, clock=FakeClock())
    return build_cache(loaded, answers, environ={}) is not None


def test_answers_that_may_not_be_saved_are_not_cached() -> None:
    private = loads(json.dumps({**STUDY, "output": {"save_answers": False}}), name="study.json")

    assert is_cached(study())
    assert not is_cached(study(cache=False))
    assert not is_cached(private)
    assert not is_cached(study(), None)


def test_a_function_is_called_each_time(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def call(heat, q):\n    return q\n")
    document = {**STUDY, "api": {"name": "x", "function": "own.py:call"}}

    assert not is_cached(loads(json.dumps(document), name="study.json", directory=tmp_path))
