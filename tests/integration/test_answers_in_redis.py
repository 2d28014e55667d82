"""Answers of earlier calls, kept in Redis for a whole cluster."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from convergence_cluster.dispatch.answer_store import RedisAnswers
from convergence_cluster.dispatch.connections import Names
from convergence_cluster.domain.errors import ConvergenceError
from tests.cluster_runs import PATIENT_S, cluster
from tests.redis_server import ONCE, RedisServer, redis_server
from tests.study_runs import predecessor_study, serving_llm


@pytest.fixture
def broker() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


def connected(broker: RedisServer) -> Redis:
    return Redis.from_url(broker.url, retry=ONCE, socket_timeout=2.0)


def store(client: Redis, *, max_bytes: int = 10_000, max_age_s: float = 3600.0) -> RedisAnswers:
    return RedisAnswers(client, Names(queue="trials"), max_bytes=max_bytes, max_age_s=max_age_s)


async def keep(answers: RedisAnswers, values: dict[str, bytes]) -> None:
    for key, value in values.items():
        await answers.put(key, value)
    await answers.close()


def test_what_one_worker_keeps_another_finds(broker: RedisServer) -> None:
    async def play() -> list[bytes | None]:
        async with connected(broker) as one, connected(broker) as two:
            await keep(store(one), {"a": b"1", "b": b"2", "c": b"3"})
            other = store(two)
            return list(await asyncio.gather(*(other.get(key) for key in ("a", "b", "nothing", "a"))))

    assert asyncio.run(play()) == [b"1", b"2", None, b"1"]


def test_a_full_store_forgets_the_oldest_and_counts_what_it_holds(broker: RedisServer) -> None:
    async def play() -> tuple[object, list[bytes | None]]:
        async with connected(broker) as client:
            answers = store(client, max_bytes=450)
            await keep(answers, {"old": b"x" * 200})
            await keep(answers, {"old": b"y" * 200})
            await asyncio.sleep(1.1)  # ages are whole seconds
            await keep(answers, {"new": b"z" * 200, "newer": b"z" * 200})
            held = await client.get("convergence:trials:answers.bytes")
            return held, list(await asyncio.gather(*(answers.get(key) for key in ("new", "newer", "old"))))

    held, found = asyncio.run(play())

    assert found == [b"z" * 200, b"z" * 200, None]
    assert held == b"400"


def test_an_answer_that_is_too_old_is_dropped_when_others_come(broker: RedisServer) -> None:
    async def play() -> list[bytes | None]:
        async with connected(broker) as client:
            answers = store(client, max_age_s=0.5)
            await keep(answers, {"old": b"1"})
            await asyncio.sleep(2.1)
            await keep(answers, {"new": b"2"})
            return [await answers.get("old"), await answers.get("new")]

    assert asyncio.run(play()) == [None, b"2"]


def test_without_redis_a_question_is_answered_by_an_error_and_keeping_is_silent(broker: RedisServer) -> None:
    async def play() -> None:
        async with connected(broker) as client:
            answers = store(client)
            broker.kill()
            await keep(answers, {"a": b"1"})
            with pytest.raises(ConvergenceError):
                await answers.get("b")

    asyncio.run(play())


def test_a_study_that_a_cluster_ran_before_pays_for_no_call(tmp_path: Path) -> None:
    with (
        serving_llm("--landscape", "predecessor", "--latency-ms", "5", "--seed", "3") as server,
        cluster(tmp_path, lease_s=PATIENT_S) as running,
    ):
        study = predecessor_study(server, parallel_workers=8, reproducible=True, max_repeats=1)
        study |= {"budget": {"calls": 60}, "legacy": {"enabled": False}}
        running.folder.write(study)
        running.coordinator()
        running.worker()
        first = running.finish(running.folder.run("submit", "--detach", "study.yaml").out.strip())
        n_paid = server.books()["requests"]
        running.worker()

        second = running.finish(running.folder.run("submit", "--detach", "--new", "study.yaml").out.strip())

        assert n_paid == 60
        assert server.books()["requests"] == n_paid
        assert second.answers() == first.answers()
        assert {entry["kind"] for entry in second.ledger} == {"cached"}
