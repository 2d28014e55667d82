"""Which calls are the same call, and what is kept of an answer."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from convergence_cluster.domain.calls import Answer, Finish, Request, TestCase, Usage
from convergence_cluster.domain.errors import ConvergenceError
from convergence_cluster.domain.identity import CaseId, Json
from convergence_cluster.trials import caching
from convergence_cluster.trials.caching import AnswerCache, Answers, HelperCache
from tests.fakes import FakeClock

CASES = (
    TestCase(id=CaseId("a"), input={"question": "Why?"}, expected="because"),
    TestCase(id=CaseId("b"), input={"question": "How?"}, expected="so"),
    TestCase(id=CaseId("c"), input={"question": "Why?"}, expected="no reason"),
)
ANSWER = Answer(
    text="so \ud800\x00",
    result={"so": [1, None, 2.5]},
    raw={"choices": [{"text": "so"}]},
    finish=Finish.LENGTH,
    usage=Usage(input_tokens=7, output_tokens=3, cached_tokens=2),
    model="m-2026",
    cost_usd=0.25,
    latency_s=0.125,
)


class Store:
    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.is_broken = False
        self.n_asked = 0

    async def get(self, key: str) -> bytes | None:
        self.n_asked += 1
        if self.is_broken:
            raise ConvergenceError("the disk is gone")
        return self.values.get(key)

    async def put(self, key: str, value: bytes) -> None:
        self.values[key] = value

    async def close(self) -> None:
        pass


def cache(
    store: Store,
    *,
    api: Json = "https://a",
    cases: tuple[TestCase, ...] = CASES,
    names_cases: bool = False,
    redact: Callable[[str], str] = str,
    clock: FakeClock | None = None,
) -> AnswerCache:
    answers = Answers(lambda: store, redact=redact, clock=clock or FakeClock(), max_age_s=100.0)
    answers.open()
    return AnswerCache(answers, api=api, cases=cases, names_cases=names_cases)


def request(case: int = 0, *, repeat: int = 0, study: str = "s", **configuration: Json) -> Request:
    return Request(
        configuration=configuration or {"model": "m"}, case=CASES[case], idempotency_key=f"{study}:4:{case}:{repeat}"
    )


def test_a_kept_answer_comes_back_whole_and_marked() -> None:
    store = Store()

    asyncio.run(cache(store).keep(request(), ANSWER))
    found = asyncio.run(cache(store).find(request(study="another")))

    assert found == replace(ANSWER, is_cached=True)


def test_the_order_of_parameters_and_the_way_a_number_is_written_make_no_other_call() -> None:
    one = cache(Store())

    assert one.key(request(heat=1.0, model="m")) == one.key(request(model="m", heat=1))


@pytest.mark.parametrize(
    "other",
    [
        request(model="n"),
        request(model="m", heat=0.0),
        request(repeat=1),
        request(1),
        request(2),
    ],
    ids=["value", "parameter", "repeat", "question", "case that asks the same"],
)
def test_another_draw_is_another_call(other: Request) -> None:
    one = cache(Store())

    assert one.key(request()) != one.key(other)


def test_another_api_is_another_call() -> None:
    assert cache(Store()).key(request()) != cache(Store(), api="https://b").key(request())


def test_what_is_expected_and_what_a_case_is_called_decide_nothing_that_is_sent() -> None:
    renamed = (TestCase(id=CaseId("z"), input={"question": "Why?"}, expected="other", weight=3.0),)
    asked = replace(request(), case=renamed[0])

    assert cache(Store(), cases=renamed).key(asked) == cache(Store()).key(request())
    assert cache(Store(), cases=renamed, names_cases=True).key(asked) != cache(Store(), names_cases=True).key(request())


def test_an_old_answer_is_asked_for_again() -> None:
    store, clock = Store(), FakeClock()
    asyncio.run(cache(store, clock=clock).keep(request(), ANSWER))

    clock.time_s += 100.0
    at_the_limit = asyncio.run(cache(store, clock=clock).find(request()))
    clock.time_s += 1.0
    beyond = asyncio.run(cache(store, clock=clock).find(request()))

    assert at_the_limit is not None
    assert beyond is None


def test_an_answer_that_holds_a_secret_is_not_kept() -> None:
    store = Store()
    keeping = cache(store, redact=lambda text: text.replace("hunter2", "[redacted]"))

    asyncio.run(keeping.keep(request(), replace(ANSWER, raw={"echo": "hunter2"})))
    asyncio.run(keeping.keep(request(1), ANSWER))

    assert len(store.values) == 1


def test_a_very_long_answer_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    monkeypatch.setattr(caching, "MAX_VALUE_BYTES", 50)

    asyncio.run(cache(store).keep(request(), ANSWER))

    assert store.values == {}


def test_a_store_that_fails_is_left_alone() -> None:
    store = Store()
    store.is_broken = True
    broken = cache(store)

    async def use() -> list[Answer | None]:
        found = [await broken.find(request()), await broken.find(request())]
        await broken.keep(request(), ANSWER)
        return found

    with capture_logs() as logged:
        assert asyncio.run(use()) == [None, None]

    assert [entry["event"] for entry in logged] == ["cache.left_alone"]
    assert store.n_asked == 1
    assert store.values == {}


def test_a_damaged_answer_is_asked_for_again() -> None:
    store = Store()
    one = cache(store)
    store.values[one.key(request())] = b"not packed"

    with capture_logs() as logged:
        assert asyncio.run(one.find(request())) is None

    assert "damaged" in logged[0]["reason"]


def test_a_store_that_cannot_be_opened_is_done_without() -> None:
    def refuse() -> Store:
        raise ConvergenceError("no such disk")

    answers = Answers(refuse, redact=str, clock=FakeClock(), max_age_s=100.0)
    one = AnswerCache(answers, api="https://a", cases=CASES, names_cases=False)

    with capture_logs() as logged:
        answers.open()
    asyncio.run(one.keep(request(), ANSWER))

    assert asyncio.run(one.find(request())) is None
    assert logged[0]["reason"] == "no such disk"


def test_a_question_about_another_draw_or_of_another_vote_is_another_question() -> None:
    answers = Answers(Store, redact=str, clock=FakeClock(), max_age_s=100.0)
    one = HelperCache(answers, api="https://judge")
    asked = replace(request(), idempotency_key="about:0")

    assert one.key(asked, 0) == one.key(replace(asked), 0)
    assert one.key(asked, 0) != one.key(asked, 1)
    assert one.key(asked, 0) != one.key(replace(asked, idempotency_key="about:1"), 0)
    assert one.key(asked, 0) != one.key(replace(asked, configuration={"model": "other"}), 0)
    assert one.key(asked, 0) != HelperCache(answers, api="https://other").key(asked, 0)
