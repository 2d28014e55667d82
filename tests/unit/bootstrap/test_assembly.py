"""Which calls a crash may hide."""

from convergence_cluster.bootstrap.assembly import may_be_paid
from convergence_cluster.domain.calls import Call
from convergence_cluster.domain.identity import ArmId, StudyId
from convergence_cluster.metering.budget import Remaining

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
