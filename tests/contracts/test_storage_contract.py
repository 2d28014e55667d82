"""What every database must do for a study: SQLite and a real PostgreSQL."""

import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text as sql

from convergence_cluster.domain.calls import Call, CallOutcome, OutcomeKind, Usage
from convergence_cluster.domain.errors import Conflict, ConvergenceError, LeaseLost, NotFound
from convergence_cluster.domain.identity import ArmId, StudyId
from convergence_cluster.domain.journal import Asked, Calibrated, Event, LedgerEntry, Resumed, Sat, Stopped, Told
from convergence_cluster.domain.search import Block, StopReason
from convergence_cluster.storage.database import Database, open_database
from convergence_cluster.storage.journal import StudyJournal
from convergence_cluster.storage.leases import Leases
from convergence_cluster.storage.studies import Studies, StudyState
from tests.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state/convergence.db"
    running: PostgresServer = request.getfixturevalue("server")
    return running.new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = open_database(url)
    yield opened
    opened.close()


def new_study(database: Database) -> StudyId:
    return Studies(database).create(name="demo", digest="d", spec_json="{}", now_s=1.0).id


def claimed(database: Database, study: StudyId, *, now_s: float = 100.0) -> StudyJournal:
    token = Leases(database).claim(study, "tester", ttl_s=30.0, now_s=now_s)
    return StudyJournal(database, study=study, token=token)


def outcome(study: StudyId, arm: int = 0, case: int = 0, repeat: int = 0, *, answer: str = "x") -> CallOutcome:
    call = Call(study=study, arm=ArmId(arm), case=case, repeat=repeat, configuration={"model": f"m{arm}"})
    return CallOutcome(call=call, kind=OutcomeKind.OK, metrics={"quality": 0.5}, answer=answer, finished_at_s=5.0)


def asked(arm: int, *cases: int) -> Asked:
    block = Block(arm=ArmId(arm), configuration={"model": f"m{arm}"}, cases=cases, operator="random")
    return Asked(block=block, reserved_usd=0.25)


text = st.text(st.characters(), max_size=20)  # NUL and lone surrogates included
scalar = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | text
json_value = st.recursive(scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3))
configuration = st.dictionaries(text, json_value, max_size=3)
small = st.integers(0, 5)
real = st.floats(allow_nan=False)
key = st.tuples(st.integers(0, 3).map(ArmId), small, small)
usages = st.builds(
    Usage,
    input_tokens=small,
    output_tokens=small,
    cached_tokens=small,
    cache_write_tokens=small,
    reasoning_tokens=small,
)
outcomes_of = st.builds(
    CallOutcome,
    call=st.builds(
        Call,
        study=st.just(StudyId("?")),
        arm=st.integers(0, 3).map(ArmId),
        case=small,
        repeat=small,
        configuration=configuration,
        reserved_usd=real,
        scoring_usd=real,
        n_draws=st.integers(1, 3),
    ),
    kind=st.sampled_from(OutcomeKind),
    metrics=st.dictionaries(text, real, max_size=3),
    clamped=st.dictionaries(text, real, max_size=2),
    latency_s=st.none() | real,
    cost_usd=st.none() | real,
    price_source=st.none() | text,
    scoring_usd=st.none() | st.floats(0.001, 9.0),
    scoring_source=st.none() | text,
    usage=st.none() | usages,
    n_attempts=small,
    waited_s=real,
    error=st.none() | text,
    answer=st.none() | text,
    model=st.none() | text,
    finished_at_s=real,
)
blocks = st.builds(
    Block,
    arm=st.integers(0, 3).map(ArmId),
    configuration=configuration,
    cases=st.lists(small, max_size=4).map(tuple),
    repeat=small,
    operator=text,
)
events_of: st.SearchStrategy[Event] = st.one_of(
    st.builds(Asked, block=blocks, reserved_usd=real),
    st.builds(Told, keys=st.lists(key, max_size=4).map(tuple)),
    st.builds(Calibrated, scales=st.dictionaries(text, real, max_size=3)),
    st.builds(Sat, began_s=st.floats(0, 2e9), until_s=st.floats(0, 2e9)),
    st.builds(Resumed, unknown=st.lists(key, max_size=4).map(tuple)),
    st.builds(Stopped, reason=st.none() | st.sampled_from(StopReason)),
)
plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)
entries_of = st.builds(
    LedgerEntry,
    key=key,
    n_attempts=small,
    usd=st.none() | real,
    kind=st.sampled_from(["settled", "unknown"]),
    price_source=st.none() | plain_text,
    at_s=real,
    answered_at_s=st.none() | real,
    task=st.none() | plain_text,
)


def with_study(study: StudyId, made: CallOutcome) -> CallOutcome:
    call = made.call
    own = Call(
        study=study,
        arm=call.arm,
        case=call.case,
        repeat=call.repeat,
        configuration=call.configuration,
        reserved_usd=call.reserved_usd,
        scoring_usd=call.scoring_usd,
        n_draws=call.n_draws,
    )
    return CallOutcome(
        call=own, **{name: getattr(made, name) for name in CallOutcome.__dataclass_fields__ if name != "call"}
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    events=st.lists(events_of, max_size=5),
    made=st.lists(outcomes_of, max_size=5),
    ledger=st.lists(entries_of, max_size=5),
)
def test_whatever_is_appended_is_read_back_equal(
    database: Database, events: list[Event], made: list[CallOutcome], ledger: list[LedgerEntry]
) -> None:
    study = new_study(database)
    outcomes = [with_study(study, one) for one in made]
    first_of_each_call = {one.call.key: one for one in reversed(outcomes)}
    journal = claimed(database, study)

    journal.append(events=events[:2], outcomes=outcomes[:2], ledger=ledger[:2])
    journal.append(events=events[2:], outcomes=outcomes[2:], ledger=ledger[2:])

    history = journal.read()
    assert history.events == tuple(events)
    assert history.outcomes == first_of_each_call
    assert history.ledger == tuple(ledger)
    assert repr(history.events) == repr(tuple(events))  # 1, 1.0 and True are equal, but not the same


def test_a_call_told_twice_is_stored_once_and_paid_twice(database: Database) -> None:
    study = new_study(database)
    journal = claimed(database, study)
    entry = LedgerEntry(key=(ArmId(0), 0, 0), n_attempts=1, usd=0.5, kind="settled")

    journal.append(outcomes=[outcome(study, answer="first")], ledger=[entry])
    journal.append(outcomes=[outcome(study, answer="late"), outcome(study, case=1)], ledger=[entry])

    history = journal.read()
    assert [one.answer for one in history.outcomes.values()] == ["first", "x"]
    assert Studies(database).get(study).spent_usd == 1.0
    assert Studies(database).get(study).n_calls == 2


def test_another_journal_goes_on_where_the_first_ended(database: Database) -> None:
    study = new_study(database)
    claimed(database, study).append(events=[asked(0, 1), asked(1, 1)], outcomes=[outcome(study)])
    token = Leases(database).claim(study, "heir", ttl_s=30.0, now_s=1000.0)
    heir = StudyJournal(database, study=study, token=token)

    heir.append(events=[asked(1, 2), Stopped(reason=None)], outcomes=[outcome(study, 1)])

    history = heir.read()
    assert history.events == (asked(0, 1), asked(1, 1), asked(1, 2), Stopped(reason=None))
    assert list(history.outcomes) == [(0, 0, 0), (1, 0, 0)]


def test_an_arm_that_changes_its_configuration_keeps_both_records(database: Database) -> None:
    study = new_study(database)
    journal = claimed(database, study)
    other = Asked(block=Block(arm=ArmId(0), configuration={"model": "other"}, cases=(1,)), reserved_usd=0.0)

    journal.append(events=[asked(0, 0), other, asked(0, 2)])

    assert journal.read().events == (asked(0, 0), other, asked(0, 2))


def test_a_call_of_another_study_is_refused_and_nothing_is_written(database: Database) -> None:
    study, other = new_study(database), new_study(database)
    journal = claimed(database, study)

    with pytest.raises(Conflict, match=other):
        journal.append(events=[asked(0, 0)], outcomes=[outcome(other)])

    assert journal.read().events == ()


def test_a_writer_that_lost_its_lease_writes_nothing_more(database: Database) -> None:
    study = new_study(database)
    old = claimed(database, study, now_s=100.0)
    old.append(events=[asked(0, 0)])
    new = claimed(database, study, now_s=131.0)
    new.append(events=[asked(0, 1)])

    with pytest.raises(LeaseLost):
        old.append(events=[asked(0, 2)], outcomes=[outcome(study)])
    with pytest.raises(LeaseLost):
        Studies(database).set_state(study, StudyState.INTERRUPTED, now_s=132.0, token=1)

    assert new.read().events == (asked(0, 0), asked(0, 1))
    assert new.read().outcomes == {}
    assert Studies(database).get(study).state is StudyState.RUNNING


def test_of_many_claimers_at_once_exactly_one_wins(database: Database) -> None:
    study = new_study(database)
    tokens: list[int] = []
    refusals: list[str] = []
    ready = threading.Barrier(6)

    def claim(number: int) -> None:
        ready.wait()
        try:
            tokens.append(Leases(database).claim(study, f"claimer {number}", ttl_s=30.0, now_s=100.0))
        except Conflict as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert tokens == [1]
    assert len(refusals) == 5
    assert all("is being run by claimer" in refusal and "since 1970-01-01 00:01:40" in refusal for refusal in refusals)


def test_a_claim_waits_for_the_append_under_way_and_then_fences_it(database: Database) -> None:
    study = new_study(database)
    journal = claimed(database, study, now_s=100.0)
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        for case in range(100_000):
            if stop.is_set():
                return
            try:
                journal.append(outcomes=[outcome(study, case=case)])
            except LeaseLost:
                return
            written.append(case)

    thread = threading.Thread(target=write)
    thread.start()
    while len(written) < 5:
        time.sleep(0.001)
    heir = claimed(database, study, now_s=131.0)
    thread.join(timeout=20)
    stop.set()

    assert sorted(case for _, case, _ in heir.read().outcomes) == written


def test_a_reader_beside_a_writer_sees_whole_transactions(database: Database) -> None:
    study = new_study(database)
    journal = claimed(database, study)
    done = threading.Event()

    def write() -> None:
        for number in range(150):
            journal.append(events=[asked(number, 0)], outcomes=[outcome(study, number)])
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    sizes = []
    while not done.is_set():
        history = StudyJournal(database, study=study, token=0).read()
        sizes.append((len(history.events), len(history.outcomes)))
    thread.join()

    assert all(n_events == n_outcomes for n_events, n_outcomes in sizes)
    assert sizes == sorted(sizes)


def test_a_released_study_can_be_claimed_and_the_old_token_is_worth_nothing(database: Database) -> None:
    study = new_study(database)
    leases = Leases(database)
    first = leases.claim(study, "a", ttl_s=30.0, now_s=100.0)

    leases.release(study, first)
    second = leases.claim(study, "b", ttl_s=30.0, now_s=101.0)

    assert second == first + 1
    assert leases.holder(study, now_s=101.0) == "b"
    with pytest.raises(LeaseLost):
        leases.renew(study, first, ttl_s=30.0, now_s=102.0)


def test_a_renewed_lease_is_held_past_its_first_end(database: Database) -> None:
    study = new_study(database)
    leases = Leases(database)
    token = leases.claim(study, "a", ttl_s=30.0, now_s=100.0)

    leases.renew(study, token, ttl_s=30.0, now_s=125.0)

    with pytest.raises(Conflict, match="try again in 15 s"):
        leases.claim(study, "b", ttl_s=30.0, now_s=140.0)
    assert leases.holder(study, now_s=156.0) is None


def test_studies_are_found_again_by_name_and_digest(database: Database) -> None:
    studies = Studies(database)
    old = studies.create(name="Support Bot!", digest="1", spec_json='{"a": 1}', source_path="x.yaml", now_s=1.0)
    done = studies.create(name="Support Bot!", digest="1", spec_json="{}", now_s=2.0)
    studies.create(name="Support Bot!", digest="2", spec_json="{}", now_s=3.0)
    studies.set_state(done.id, StudyState.FINISHED, now_s=4.0, reason="certain")

    found = studies.find_unfinished(name="Support Bot!", digest="1")

    assert found == old
    assert old.id.startswith("support-bot-")
    assert studies.find_unfinished(name="Support Bot!", digest="3") is None
    assert [record.created_at_s for record in studies.list()] == [3.0, 2.0, 1.0]
    assert studies.get(done.id).reason == "certain"


def test_an_unknown_study_is_answered_with_those_there_are(database: Database) -> None:
    study = new_study(database)

    with pytest.raises(NotFound, match=study):
        Studies(database).get("nope")
    with pytest.raises(NotFound):
        Studies(database).set_state("nope", StudyState.FINISHED, now_s=1.0)


def test_studies_of_another_owner_are_not_seen(database: Database) -> None:
    study = new_study(database)

    with pytest.raises(NotFound):
        Studies(database, owner="other").get(study)
    assert Studies(database, owner="other").list() == ()


def test_calls_of_unknown_price_are_counted_and_cost_nothing(database: Database) -> None:
    study = new_study(database)
    entries = [
        LedgerEntry(key=(ArmId(0), n, 0), n_attempts=1, usd=usd, kind="settled") for n, usd in enumerate([0.1, None])
    ]
    claimed(database, study).append(ledger=entries)

    record = Studies(database).get(study)

    assert math.isclose(record.spent_usd, 0.1)
    assert record.n_unpriced == 1


def test_every_attempt_of_a_call_is_counted_as_the_cap_does(database: Database) -> None:
    study = new_study(database)
    n_before = Studies(database).get(study).n_calls
    retried = LedgerEntry(key=(ArmId(0), 0, 0), n_attempts=3, usd=None, kind="settled")
    refused = LedgerEntry(key=(ArmId(0), 1, 0), n_attempts=1, usd=0.0, kind="settled")

    claimed(database, study).append(outcomes=[outcome(study)], ledger=[retried, refused])

    assert (n_before, Studies(database).get(study).n_calls) == (0, 4)


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    with pytest.raises(ConvergenceError, match="refused") as caught:
        open_database("postgresql://user:canary@127.0.0.1:1/db")

    assert "canary" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_a_study_outlives_a_server_that_drops_its_connections(server: PostgresServer) -> None:
    url = server.new_database()
    database, admin = open_database(url), open_database(url)
    study = new_study(database)
    journal = claimed(database, study)
    journal.append(outcomes=[outcome(study)])

    with admin.write() as connection:
        connection.execute(sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"))
    journal.append(outcomes=[outcome(study, case=1)])

    assert len(journal.read().outcomes) == 2
    database.close()
    admin.close()


WRITER = """
import sys
from convergence_cluster.storage.database import open_database
from convergence_cluster.storage.journal import StudyJournal
from tests.contracts.test_storage_contract import asked, claimed, outcome
from convergence_cluster.domain.identity import StudyId
from convergence_cluster.domain.journal import Told, LedgerEntry
database = open_database(sys.argv[1])
study = StudyId(sys.argv[2])
journal = claimed(database, study, now_s=float(sys.argv[3]))
start = int(sys.argv[4])
for block in range(start, start + 100_000):
    made = [outcome(study, block, case) for case in range(7)]
    entries = [LedgerEntry(key=one.call.key, n_attempts=1, usd=0.5, kind="settled") for one in made]
    journal.append(events=[asked(block, *range(7))], outcomes=made, ledger=entries)
    print(block, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9_and_nothing_is_half_written(url: str, database: Database) -> None:
    study = new_study(database)
    acknowledged: list[int] = []
    for attempt in range(4):
        arguments = [url, study, str(1000.0 * (attempt + 1)), str(1000 * attempt)]
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        ) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                acknowledged.append(int(line))
                if int(line) % 1000 == 3 + 7 * attempt:
                    writer.kill()

    history = claimed(database, study, now_s=9000.0).read()

    blocks_there = [event.block.arm for event in history.events if isinstance(event, Asked)]
    assert set(acknowledged) <= set(blocks_there)
    assert len(blocks_there) <= len(acknowledged) + 4
    assert sorted(history.outcomes) == sorted((block, case, 0) for block in blocks_there for case in range(7))
    assert len(history.ledger) == len(history.outcomes)
