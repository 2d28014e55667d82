"""Which calls a crash may hide."""

import json
from typing import Any, cast

from convergence_cluster.bootstrap.assembly import Assembly, assemble, may_be_paid
from convergence_cluster.domain.calls import Call
from convergence_cluster.domain.identity import ArmId, StudyId
from convergence_cluster.metering.budget import Budget, Remaining
from convergence_cluster.spec.loading import loads
from convergence_cluster.spec.portable import pack
from convergence_cluster.storage.studies import StudyRecord, StudyState
from tests.fakes import FakeClock, MemoryJournal, ShufflingExecutor, answer_ok

STUDY = """\
api: {name: x, endpoint: "https://example.com/v1"}
search_space: {parameters: {a: [1, 2, 3]}}
evaluation:
  metrics: {quality: {weight: 1, function: exact_match}, steady: {weight: 1, function: consistency, repeats: 4}}
  test_cases: [{input: {q: 1}, expected: a}, {input: {q: 2}, expected: b}]
"""


class FreeOfCharge:
    def usd(self, configuration: Any, case: int) -> float:
        del configuration, case
        return 0.0

    def scoring_usd(self, case: int) -> float:
        del case
        return 0.0


def assembled(journal: MemoryJournal) -> Assembly:
    study, clock = loads(STUDY), FakeClock()
    record = StudyRecord(
        id=StudyId("demo"),
        name="x",
        owner="local",
        digest=study.digest,
        spec_json=json.dumps({"study": pack(study), "legacy": {"elites": [], "policy": {}}}),
        source_path=None,
        created_at_s=0.0,
        updated_at_s=0.0,
        state=StudyState.RUNNING,
        reason=None,
        n_calls=0,
        spent_usd=0.0,
        n_unpriced=0,
    )
    return assemble(
        study,
        record,
        journal=journal,
        budget=Budget(clock=clock, calls=1000),
        bound=cast("Any", FreeOfCharge()),
        clock=clock,
        executor=ShufflingExecutor(answer_ok),
    )


CALLS = tuple(
    Call(study=StudyId("demo"), arm=ArmId(0), case=case, repeat=0, configuration={}, reserved_usd=0.25)
    for case in range(6)
)
PLENTY = Remaining(usd=None, calls=None, time_s=None)


def unknown(remaining: Remaining, *under_way: int) -> list[int]:
    found = may_be_paid(CALLS, remaining, is_under_way=lambda key: key[1] in under_way)
    return [call.case for call in found]


def test_all_that_were_asked_for_where_nobody_is_making_them() -> None:
    assert unknown(PLENTY) == [0, 1, 2, 3, 4, 5]


def test_none_that_workers_are_making() -> None:
    assert unknown(PLENTY, 1, 4) == [0, 2, 3, 5]


def test_no_more_than_the_budget_had_room_for_beside_those_under_way() -> None:
    assert unknown(Remaining(usd=None, calls=4, time_s=0.0), 4, 5) == [0, 1]
    assert unknown(Remaining(usd=0.75, calls=None, time_s=None), 5) == [0, 1]
    assert unknown(Remaining(usd=0.5, calls=0, time_s=None)) == []


def test_a_hidden_call_takes_the_room_of_all_its_draws() -> None:
    journal = MemoryJournal()
    crashed = assembled(journal)
    next(crashed.coordinator.rounds())
    n_hidden = crashed.coordinator.n_in_flight

    resumed = assembled(journal)

    assert n_hidden > 0
    assert resumed.budget.calls == resumed.coordinator.accounts.n_attempts == 4 * n_hidden
