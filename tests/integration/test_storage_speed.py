"""What the journal costs, beside the bare driver in the same run: machines differ, and their pace changes."""

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind, Usage
from convergence_cluster.domain.identity import ArmId, StudyId
from convergence_cluster.domain.journal import Asked, LedgerEntry, Told
from convergence_cluster.domain.search import Block
from convergence_cluster.storage.database import Database, open_database
from convergence_cluster.storage.journal import StudyJournal
from convergence_cluster.storage.leases import Leases
from convergence_cluster.storage.studies import Studies
from tests.postgres import postgres_server

pytestmark = pytest.mark.alone

N_CALLS = 100_000
N_CASES = 40


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        opened = open_database(f"sqlite:///{tmp_path}/convergence.db")
        yield opened
        opened.close()
        return
    with postgres_server() as server:
        opened = open_database(server.new_database())
        yield opened
        opened.close()


def outcome(study: StudyId, number: int) -> CallOutcome:
    arm, case = divmod(number, N_CASES)
    call = Call(
        study=study,
        arm=ArmId(arm),
        case=case,
        repeat=0,
        configuration={"model": f"model-{arm}", "temperature": 0.3, "max_tokens": 512, "prompt": "You are kind. " * 4},
        reserved_usd=0.001,
    )
    return CallOutcome(
        call=call,
        kind=OutcomeKind.OK,
        metrics={"quality": 0.81234567, "latency_ms": 412.34, "cost_usd": 0.000123},
        latency_s=0.41234,
        cost_usd=0.000123,
        price_source="genai-prices",
        usage=Usage(input_tokens=123, output_tokens=45),
        n_attempts=1,
        answer="An answer of the usual length, some forty words. " * 5,
        model="gpt-4.1-mini-2025-04-14",
        finished_at_s=1_763_769_600.123,
    )


def append(journal: StudyJournal, batch: Sequence[CallOutcome]) -> None:
    first = batch[0].call
    block = Block(arm=first.arm, configuration=first.configuration, cases=tuple(one.call.case for one in batch))
    journal.append(
        events=[Told(keys=tuple(one.call.key for one in batch)), Asked(block=block, reserved_usd=0.01)],
        outcomes=batch,
        ledger=[LedgerEntry(key=one.call.key, n_attempts=1, usd=one.cost_usd, kind="settled") for one in batch],
    )


def cpu_us(journal: StudyJournal, made: Sequence[CallOutcome], batch: int) -> float:
    start_s = time.process_time()
    for first in range(0, len(made), batch):
        append(journal, made[first : first + batch])
    return (time.process_time() - start_s) / len(made) * 1e6


def bare_us(database: Database, n: int) -> float:
    """Return the CPU time of a transaction as the driver makes it: a row read, four written, in three statements."""
    row, text = f"({', '.join([database.placeholder] * 3)})", "x" * 400
    insert = f"INSERT INTO scratch VALUES {row}"
    connection = database.engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE scratch (number INTEGER PRIMARY KEY, name TEXT, body TEXT)")
        connection.commit()
        start_s = time.process_time()
        for number in range(0, 4 * n, 4):
            cursor.execute("BEGIN IMMEDIATE" if database.is_sqlite else "SELECT 1")
            cursor.execute(f"SELECT name FROM scratch WHERE number = {database.placeholder}", (number,))
            cursor.fetchone()
            cursor.execute(insert, (number, "call", text))
            cursor.execute(insert, (number + 1, "entry", text))
            cursor.executemany(insert, [(number + 2, "event", text), (number + 3, "event", text)])
            connection.commit()
        return (time.process_time() - start_s) / n * 1e6
    finally:
        connection.close()


def test_a_call_costs_microseconds_however_long_the_study(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    study = Studies(database).create(name="speed", digest="d", spec_json="{}", now_s=1.0).id
    token = Leases(database).claim(study, "tester", ttl_s=1e9, now_s=1.0)
    journal = StudyJournal(database, study=study, token=token)
    one_by_one_us = cpu_us(journal, [outcome(study, number) for number in range(1000)], 1)
    driver_us = bare_us(database, 1000)
    made = [outcome(study, number) for number in range(1000, N_CALLS)]

    first_us = cpu_us(journal, made[:9000], 20)
    middle_us = cpu_us(journal, made[9000:-9000], 20)
    last_us = cpu_us(journal, made[-9000:], 20)
    start_s = time.perf_counter()
    history = journal.read()
    read_s = time.perf_counter() - start_s
    start_s = time.perf_counter()
    record = Studies(database).get(study)
    get_s = time.perf_counter() - start_s

    with capsys.disabled():
        sys.stdout.write(
            f"\n{database.engine.dialect.name}: CPU us per call {one_by_one_us:.0f} one by one (bare driver: "
            f"{driver_us:.0f}), in twenties {first_us:.0f} / {middle_us:.0f} / {last_us:.0f} (first, middle, last of "
            f"{N_CALLS}); read all {read_s:.2f} s; status {get_s * 1000:.0f} ms\n"
        )
    assert len(history.outcomes) == record.n_calls == N_CALLS
    assert one_by_one_us < 5 * driver_us
    assert last_us < 0.7 * driver_us
    assert read_s < 12
